"""The command that imports, the certificate, and planning with what was imported."""

import json
from pathlib import Path

import pytest
import torch
import transformers

from grasp_bench.models import load_model
from grasp_bench.models.dinov2 import resized_places
from grasp_bench.planners import PLANNERS
from grasp_bench.run.store import read_results

FIXTURES = Path(__file__).with_name("fixtures")


@pytest.fixture
def backbone(tmp_path):
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=12, num_hidden_layers=1, num_attention_heads=2, image_size=56, patch_size=14
    )
    transformers.utils.logging.disable_progress_bar()
    transformers.Dinov2Model(config).save_pretrained(tmp_path / "dino")
    return tmp_path / "dino"


@pytest.fixture
def dino_wm(cli, backbone):
    code, out, err = cli(
        "models", "import", "dino-wm", FIXTURES / "dino_wm", "--backbone", backbone,
        "--out", "checkpoints/tiny-dino-wm.safetensors",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "left out: epoch, predictor_optimizer" in out
    return Path("checkpoints/tiny-dino-wm.safetensors")


@pytest.fixture
def lewm(cli):
    code, _, err = cli("models", "import", "lewm", FIXTURES / "lewm")
    assert (code, err) == (0, "")
    return Path("checkpoints/lewm.safetensors")


def test_the_card_says_where_the_weights_are_from_and_the_list_knows_them(dino_wm, cli):
    card = json.loads(dino_wm.with_suffix(".json").read_text())
    assert card["kind"] == "dino-wm"
    assert len(card["source"]["sha256"]) == 64
    assert card["normalisation"]["action_std"] == pytest.approx([0.2019, 0.2002])
    assert "tiny-dino-wm" in cli("models")[1]


# What keeps a planner's iterations small.
SMALL = {
    "cem": "samples=6,elites=2", "latco": "yield_every=1", "grasp": "yield_every=2",
    "gd-adam": "starts=2", "icem": "samples=6,elites=2", "mppi": "samples=6",
    "grad-cem": "samples=4,elites=2", "predictive-sampling": "samples=6", "prism": "samples=6",
    "leap": "samples=4,refined=2", "prior-rerank": "samples=4", "prior-mean": "samples=2",
}  # fmt: skip


def swept(cli, path, horizons, budget, settings):
    """Runs every planner on a model; returns the trials by planner and horizon."""
    changes = [f"{planner}.{one}" for planner, text in settings.items() for one in text.split(",")]
    options = [part for change in changes for part in ("--set", change)]
    code, _, err = cli(
        "sweep", "--planners", ",".join(PLANNERS.names()), "--horizons", horizons, "--trials", 1,
        "--model", path, "--clock", "iterations", "--budget", budget, "--stop", "never",
        "--workers", 1, "--untuned", *options, "--out", "out",
    )  # fmt: skip
    assert code == 0, err or read_results("out")["error"].dropna().tolist()
    trials = read_results("out")
    return trials.set_index(["planner", "horizon"])


@pytest.mark.parametrize("name", ["dino_wm", "lewm"])
def test_all_planners_run_on_an_imported_model_at_both_horizons(
    name, cli, request, in_this_process
):
    trials = swept(cli, request.getfixturevalue(name), "25,80", 1, SMALL)
    assert len(trials) == 2 * len(PLANNERS.names())
    assert (trials["candidates"] >= 1).all()
    assert trials["final_plan_success"]["demo"].all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dino_wm", "lewm"])
@pytest.mark.parametrize("variant", ["", "@bfloat16", "@checkpointing"])
def test_all_planners_run_with_their_defaults_and_on_variants(
    name, variant, cli, request, in_this_process
):
    path = f"{request.getfixturevalue(name)}{variant}"
    trials = swept(cli, path, "25,40,80", 3, {})
    assert len(trials) == 3 * len(PLANNERS.names())
    assert trials["model"].str.endswith(variant).all()


def test_weights_that_compute_something_else_now_are_refused(lewm, cli, refused, monkeypatch):
    load_model(str(lewm))
    gelu = torch.nn.functional.gelu
    monkeypatch.setattr(torch.nn.GELU, "forward", lambda self, x: gelu(x, approximate="tanh") + 0.1)
    sentence = refused("run", "--planner", "cem", "--horizon", 25, "--model", lewm)
    assert "a library underneath has changed" in sentence


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("lewm", "nowhere"), "nowhere"),
        (("lewm", FIXTURES / "dino_wm" / "checkpoints" / "model_latest.pth"), "layout"),
        (("dino-wm", FIXTURES / "dino_wm", "--backbone", "nothing-here"), "DINOv2"),
        # The file is read before the backbone is looked for.
        (("dino-wm", FIXTURES / "lewm", "--backbone", "nothing-here"), "model_latest.pth"),
        (("lewm", FIXTURES / "lewm", "--out", "x.pt"), ".safetensors"),
    ],
)
def test_bad_input_is_a_sentence(refused, arguments, word):
    assert word in refused("models", "import", *arguments)


def test_places_are_resized_as_in_the_original():
    torch.manual_seed(0)
    places = torch.randn(1, 1 + 16, 3)
    assert resized_places(places, 16) is places
    resized = resized_places(places, 4)
    assert resized.shape == (1, 5, 3)
    torch.testing.assert_close(resized[:, 0], places[:, 0])
    constant = torch.ones(1, 17, 3)
    torch.testing.assert_close(resized_places(constant, 4), torch.ones(1, 5, 3))
