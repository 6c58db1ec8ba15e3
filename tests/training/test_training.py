from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from grasp_bench import evaluate
from grasp_bench.core.errors import UserError
from grasp_bench.core.seeds import episode_generator
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.models import load_model
from grasp_bench.models.card import read_card
from grasp_bench.models.dino_wm import DinoWM
from grasp_bench.tasks.demonstrations import Demonstrations, collect, load_demonstrations
from grasp_bench.tasks.known_sets import HUMAN_RECORDING_SHA256
from grasp_bench.training import catalogue
from grasp_bench.training.catalogue import get_recipe
from grasp_bench.training.loop import Schedule, train
from grasp_bench.training.pipeline import train_world_model
from grasp_bench.training.training_run import TrainingRun


def short(recipe, **steps):
    """The recipe with fewer frames, episodes and steps of its stages."""
    stages = {name: replace(getattr(recipe, name), steps=count) for name, count in steps.items()}
    return replace(recipe, episodes=50, pool_frames=500, **stages)


def test_collecting_again_keeps_what_is_there_and_more_extends_it(datasets, tmp_path):
    before = (datasets / "train" / "shard-00000.npz").stat().st_mtime_ns
    done = []
    collect(datasets / "train", "train", 50, progress=done.append)
    assert sum(done) == 50
    assert (datasets / "train" / "shard-00000.npz").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="another dataset"):
        collect(datasets / "train", "held-out", 50)
    with pytest.raises(UserError, match="50 episodes, 51 are needed"):
        load_demonstrations(datasets / "train", "train", 51)
    with pytest.raises(UserError, match="holds train demonstrations, not held-out"):
        load_demonstrations(datasets / "train", "held-out")
    with pytest.raises(UserError, match="no demonstrations"):
        load_demonstrations(tmp_path, "train")


def test_splits_have_random_streams_of_their_own():
    draws = {
        split: episode_generator(split, 0).random()
        for split in ("train", "held-out", "tune", "eval")
    }
    assert len(set(draws.values())) == 4


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))


def line_loss(module):
    def loss(generator):
        x = torch.randn(16, 3, generator=generator)
        return ((x @ (module.weight - torch.tensor([1.0, -2.0, 3.0]))) ** 2).mean(), {}

    return loss


def test_an_interrupted_training_ends_bitwise_where_an_uninterrupted_one_does(tmp_path):
    schedule = Schedule(steps=40, batch=16, learning_rate=0.1, warmup=5, average=0.9)
    whole = Line()
    train(whole, line_loss(whole), schedule, tmp_path / "whole.pt", seed=3)

    class InterruptedTrainingError(Exception):
        pass

    parts = Line()
    steps = []

    def failing(generator):
        steps.append(None)
        if len(steps) == 25:
            raise InterruptedTrainingError
        return line_loss(parts)(generator)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grasp_bench.training.loop.SAVE_SECONDS", -1.0)
        with pytest.raises(InterruptedTrainingError):
            train(parts, failing, schedule, tmp_path / "parts.pt", seed=3)
    resumed = Line()
    train(resumed, line_loss(resumed), schedule, tmp_path / "parts.pt", seed=3)
    assert torch.equal(resumed.weight, whole.weight)
    with pytest.raises(UserError, match="other settings"):
        train(Line(), line_loss(resumed), replace(schedule, steps=41), tmp_path / "parts.pt", 3)


def test_a_smoke_run_trains_from_nothing_and_ends_below_the_copy_floor(
    grasp_bench, datasets, tmp_path, monkeypatch
):
    recipe = short(get_recipe("smoke"), encoder=60, dynamics=150, decoder=10)
    monkeypatch.setitem(catalogue._RECIPES, "smoke", recipe)
    path = tmp_path / "smoke.safetensors"
    command = ["train", "--recipe", "smoke", "--run", str(tmp_path / "run"), "--out", str(path)]
    for split in ("train", "held-out"):
        command += [f"--{'data' if split == 'train' else split}", str(datasets / split)]
    assert grasp_bench(*command) == 0
    card = read_card(path)
    assert card["command"].startswith("grasp-bench")
    first_step = card["held_out"]["open_loop"]["1"]
    assert first_step["agent_px_median"] < first_step["copy_agent_px_median"]
    fourth_step = card["held_out"]["open_loop"]["4"]
    assert fourth_step["agent_px_median"] < fourth_step["copy_agent_px_median"]
    assert set(card["held_out"]["probes"]) == {"linear", "mlp"}
    assert card["curves"]["dynamics"][-1]["loss"] < card["curves"]["dynamics"][0]["loss"]
    assert "labels" in card["supervision"]
    loaded = load_model(str(path))
    assert loaded.probe_sha256 is not None
    arguments = (recipe, datasets / "train", datasets / "held-out", tmp_path / "run")
    again = train_world_model(*arguments, tmp_path / "again.safetensors", "a test")
    assert again["sha256"] == loaded.sha256
    with pytest.raises(UserError, match="another recipe"):
        train_world_model(replace(recipe, seed=1), *arguments[1:], path, "a test")


def test_a_small_dino_wm_learns_one_step_ahead_and_plans(datasets, tmp_path):
    recipe = short(get_recipe("dino-wm-smoke"), vision=40, dynamics=150)
    path = tmp_path / "dino-wm.safetensors"
    folders = (datasets / "train", datasets / "held-out", tmp_path / "run")
    card = train_world_model(recipe, *folders, path, "a test")
    assert "masked prediction" in card["supervision"]
    first, last = (card["curves"]["dynamics"][i] for i in (0, -1))
    assert last["tokens"] < first["tokens"] / 2
    loaded = load_model(str(path))
    assert loaded.model.latent_shape == (16, 38)
    assert loaded.model.context == 3
    states = load_demonstrations(datasets / "train", "train").states[:, ::20].reshape(-1, 7)
    tokens = loaded.model.encode(PUSHT.observe(states, loaded.model.view))[..., :28]
    torch.testing.assert_close(tokens.mean(-1), torch.zeros(tokens.shape[:2]), atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens.std(-1), torch.ones(tokens.shape[:2]), atol=1e-5, rtol=0)
    results = evaluate(
        "grasp", model=str(path), tasks="eval", horizon=40, trials=1, clock="iterations", budget=2
    )
    assert results["final_plan_cost_predicted"].notna().all()
    again = train_world_model(recipe, *folders, tmp_path / "again.safetensors", "a test")
    assert again["sha256"] == loaded.sha256


def test_no_prediction_of_a_dino_wm_depends_on_later_frames():
    torch.manual_seed(0)
    model = DinoWM(get_recipe("dino-wm-smoke").architecture).eval()
    states, actions = torch.randn(2, 3, *model.latent_shape), torch.randn(2, 3, 10)
    whole = model.successors(states, actions)
    for count in (1, 2, 3):
        part = model.step_in_context(states[:, :count], actions[:, :count])
        torch.testing.assert_close(whole[:, count - 1], part)


@pytest.mark.slow
def test_a_pose_smoke_run_ends_below_the_copy_floor_and_loads(datasets, tmp_path):
    path = tmp_path / "pose.safetensors"
    recipe = short(get_recipe("pose-smoke"), dynamics=150)
    folders = (datasets / "train", datasets / "held-out", tmp_path / "run")
    card = train_world_model(recipe, *folders, path, "a test")
    first_step = card["held_out"]["open_loop"]["1"]
    assert first_step["agent_px_median"] < first_step["copy_agent_px_median"]
    assert "masked prediction" in card["supervision"]
    for stage in ("vision", "scene", "redraw", "dynamics"):
        assert card["curves"][stage][-1]["loss"] < card["curves"][stage][0]["loss"]
    assert load_model(str(path)).model.latent_shape == (8,)


def test_a_pose_model_learns_in_stages_and_a_finished_run_gives_it_again(datasets, tmp_path):
    stages = ("vision", "scene", "hinted", "redraw", "dynamics", "longer")
    recipe = short(get_recipe("pose-smoke"), **dict.fromkeys(stages, 5))
    folders = (datasets / "train", datasets / "held-out", tmp_path / "run")
    card = train_world_model(recipe, *folders, tmp_path / "pose.safetensors", "a test")
    assert set(card["curves"]) == set(stages)
    model = load_model(str(tmp_path / "pose.safetensors")).model
    assert (model.token_std != 1.0).all()
    again = train_world_model(recipe, *folders, tmp_path / "again.safetensors", "a test")
    assert again["sha256"] == card["sha256"]


@pytest.mark.parametrize(
    ("source", "licence"),
    [
        ({"sha256": HUMAN_RECORDING_SHA256}, "MIT"),
        ({"sha256": "0"}, ""),
        ("no object", ""),
        (None, ""),
    ],
)
def test_a_card_says_what_the_data_was_made_of_and_its_licence(tmp_path, source, licence):
    none = np.zeros((1, 6, 7)), np.zeros((1, 5, 2))
    data = Demonstrations(*none, {"made_by": "replays", "source": source})
    run = TrainingRun(get_recipe("smoke"), data, tmp_path, torch.device("cpu"))
    said = run.facts("train")["data"]
    assert (said["made_by"], said["source"], said["episodes"]) == ("replays", source, 1)
    assert said.get("licence", "").partition(",")[0] == licence


def test_bad_input_to_training_is_a_sentence_and_exit_code_2(grasp_bench, tmp_path, capsys):
    nowhere = ["--data", str(tmp_path / "nowhere"), "--run", str(tmp_path / "run")]
    assert grasp_bench("train", *nowhere) == 2
    assert "grasp-bench data collect" in capsys.readouterr().err
    assert grasp_bench("train", "--recipe", "compcat", *nowhere) == 2
    assert "did you mean 'compact'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
