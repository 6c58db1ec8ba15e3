import json
from dataclasses import replace

import pytest
import torch

from grasp_bench.core.errors import UserError
from grasp_bench.models import CompactConfig, CompactWorldModel, load_model, save_checkpoint
from grasp_bench.run.store import read_results
from grasp_bench.training.action_prior import PriorRecipe, train_prior
from grasp_bench.training.loop import Schedule

RECIPE = PriorRecipe(
    episodes=50, schedule=Schedule(60, 128, learning_rate=3e-3, warmup=5), width=64, blocks=1
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    config = CompactConfig(encoder_channels=16, width=16, blocks=1, decoder_width=16)
    model = CompactWorldModel(config)
    for name, value in (("visual", 100.0), ("proprio", 100.0), ("action", 0.2)):
        getattr(model, f"{name}_std").fill_(value)
    save_checkpoint(model, path, {"supervision": "none"})
    return path


@pytest.fixture(scope="module")
def trained(checkpoint, datasets):
    """Trains the checkpoint's prior, or goes on from where that was."""

    def run(recipe=RECIPE):
        folders = datasets / "train", datasets / "held-out", checkpoint.parent / "run"
        return train_prior(str(checkpoint), recipe, *folders, "the command")

    run()
    return run


def test_a_trained_prior_knows_more_than_nothing_and_is_loaded_with_its_model(trained, checkpoint):
    loaded = load_model(str(checkpoint))
    card = json.loads((checkpoint.parent / "priors" / "tiny.json").read_text())
    assert loaded.prior_sha256 == card["sha256"]
    assert card["model_sha256"] == loaded.sha256
    held_out = card["held_out"]
    assert held_out["1_steps"] < held_out["1_steps_standard_normal"] - 1


def test_a_run_s_folder_goes_on_with_its_own_recipe_only(trained):
    _, card = trained()
    assert card["training_seconds"] >= 0
    with pytest.raises(UserError, match="another recipe or data"):
        trained(replace(RECIPE, seed=1))


def test_results_name_the_prior_of_the_planners_that_use_it(
    trained, checkpoint, grasp_bench, tmp_path, capsys
):
    sweep = ["sweep", "--planners", "grasp-plus,zero", "--horizons", "10", "--trials", "1"]
    sweep += ["--model", str(checkpoint), "--clock", "iterations", "--budget", "2"]
    sweep += ["--set", "grasp-plus.samples=4", "--set", "grasp-plus.elites=2", "--workers", "1"]
    sweep += ["--out", str(tmp_path / "run")]
    assert grasp_bench(*sweep) == 0
    priors = read_results(tmp_path / "run").set_index("planner")["prior_sha256"]
    assert priors["grasp-plus"] == load_model(str(checkpoint)).prior_sha256
    assert priors.isna()["zero"]

    folder = checkpoint.parent / "priors"
    try:
        folder.rename(folder.with_name("elsewhere"))
        assert grasp_bench(*sweep) == 2
        assert "another action prior" in capsys.readouterr().err
        assert grasp_bench("results", "check", str(tmp_path / "run"), "--model", str(checkpoint))
        assert "used another action prior" in capsys.readouterr().err
    finally:
        folder.with_name("elsewhere").rename(folder)


def test_the_command_trains_a_prior(checkpoint, datasets, grasp_bench, tmp_path, capsys):
    arguments = ["train-prior", "--model", str(checkpoint), "--episodes", "50", "--steps", "2"]
    arguments += ["--data", str(datasets / "train"), "--held-out", str(datasets / "held-out")]
    arguments += ["--run", str(tmp_path / "run"), "--out", str(tmp_path / "prior.safetensors")]
    assert grasp_bench(*arguments) == 0
    assert "held-out nats per action" in capsys.readouterr().out
    assert (tmp_path / "prior.safetensors").exists()
    assert grasp_bench(*arguments[:1], "--model", "nowhere", "--run", str(tmp_path)) == 2
