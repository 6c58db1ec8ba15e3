"""Cards, weights and priors of any content: each is refused in one sentence, or loads."""

import json
import time

import pytest
import torch
from safetensors.torch import load_file, save

from grasp_bench.core.errors import UserError
from grasp_bench.models import (
    CompactConfig,
    CompactWorldModel,
    PoseConfig,
    PoseWorldModel,
    list_models,
    load_model,
    save_checkpoint,
)
from grasp_bench.models.card import read_card
from grasp_bench.models.dino_wm import DinoWM, DinoWMConfig
from grasp_bench.models.prior import MixturePrior, PriorConfig, prior_path, save_prior
from grasp_bench.models.weights import save_weights
from grasp_bench.run.store import write_rows
from grasp_bench.trial.replay import _model

TINY = CompactConfig(keypoints=2, encoder_channels=8, width=8, blocks=1, decoder_width=8)
POSE = PoseConfig(channels=3, encoder_width=8, encoder_blocks=1, token_width=8, width=8, blocks=1)
DINO = DinoWMConfig(
    side=2,
    features=8,
    action_embedding=4,
    proprio_embedding=4,
    depth=1,
    heads=2,
    head_width=4,
    hidden=8,
    image_size=28,
    encoder_size=28,
    dinov2={"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 14}
    | {"image_size": 28, "stage_names": ["stem", "stage1"], "out_indices": [0]},
)


@pytest.fixture
def saved(tmp_path):
    """Saves a model; returns its path."""

    def make(model=None, **card):
        path = tmp_path / "some.safetensors"
        save_checkpoint(model or CompactWorldModel(TINY), path, card)
        return path

    return make


def edit_card(path, **changes):
    card = read_card(path)
    path.with_suffix(".json").write_text(json.dumps(card | changes))


def edit_weights(path, **changes):
    """Changes tensors, and the card's SHA-256 with them."""
    card = read_card(path)
    weights = load_file(path) | {name.replace("__", "."): x for name, x in changes.items()}
    save_weights(path, weights, {name: x for name, x in card.items() if name != "sha256"})


@pytest.fixture(autouse=True, scope="module")
def loaded_before():
    """Loads a good model, so that no refusal is timed with torch's own first imports."""
    load_model("pusht-compact")


def refused(path):
    begun = time.process_time()
    with pytest.raises(UserError) as error:
        load_model(str(path))
    assert time.process_time() - begun < 5
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    return str(error.value)


@pytest.mark.parametrize(
    "value", [0, -3, 7, 10**7, 10**12, 8.0, "8", True, None, [8], float("nan")]
)
@pytest.mark.parametrize("name", ["width", "blocks", "keypoints", "frameskip", "image_size"])
def test_a_size_that_is_not_that_of_the_weights_is_refused(saved, name, value):
    path = saved()
    edit_card(path, architecture=read_card(path)["architecture"] | {name: value})
    sentence = refused(path)
    assert any(word in sentence for word in (name, "shape", "64 px", "width"))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (PoseWorldModel(POSE), "encoder_blocks"),
        (PoseWorldModel(POSE), "image_size"),
        (PoseWorldModel(POSE), "channels"),
        (PoseWorldModel(POSE), "token_width"),
    ],
)
@pytest.mark.parametrize("value", [0, 10**5, 10**9])
def test_sizes_of_every_architecture_are_bounded_by_the_file(saved, model, name, value):
    path = saved(model)
    edit_card(path, architecture=read_card(path)["architecture"] | {name: value})
    refused(path)


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 10**9},
        {"num_attention_heads": 0},
        {"patch_size": 0},
        {"hidden_size": 2.5},
        {"hidden_act": "__import__"},
        {"image_size": [28, 28]},
        {"mlp_ratio": 10**6},
    ],
)
def test_a_dinov2_is_checked_too_and_what_is_not_its_shape_is_left_out(saved, change):
    pytest.importorskip("transformers")
    path = saved(DinoWM(DINO))
    loaded = load_model(str(path))
    assert "out_indices" not in loaded.model.config.dinov2
    architecture = read_card(path)["architecture"]
    edit_card(path, architecture=architecture | {"dinov2": architecture["dinov2"] | change})
    refused(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kind": "patchwork"}, "patchwork"),
        ({"kind": ["compact"]}, "kind"),
        ({"kind": "pose"}, "architecture"),
        ({"architecture": []}, "architecture"),
        ({"architecture": {"depth": 3}}, "depth"),
        ({"sha256": 5}, "sha256"),
        ({"held_out": [1]}, "held_out"),
        ({"normalisation": {"action_std": [0.0, 0.0]}}, "action_std"),
        ({"normalisation": {"action_std": [1.0, float("nan")]}}, "action_std"),
        ({"normalisation": {"speed_mean": [1.0]}}, "speed_mean"),
    ],
)
def test_a_card_that_contradicts_itself_or_the_weights_is_refused(saved, change, named):
    path = saved(normalisation={"action_std": [1.0, 1.0]})
    load_model(str(path))
    edit_card(path, **change)
    assert named in refused(path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b'{"card_version": 1, "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "levels"),
        (b'{"card_version": 1, "x": ' + b'{"a":' * 60 + b"1" + b"}" * 61, "levels"),
        (b'{"card_version": 1, "kind": "\xff"}', "utf-8"),
        (b'{"card_version": 1, "x": ' + b"9" * 5000 + b"}", "4300"),
        (b" " * 2**23 + b"{}", "larger"),
        (b'"text"', "version"),
    ],
)
def test_a_card_that_is_no_card_is_refused(saved, text, named):
    path = saved()
    path.with_suffix(".json").write_bytes(text)
    assert named in refused(path)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("proprio_mean", torch.tensor([0.0, float("nan"), 0, 0]), "proprio_mean"),
        ("predictor__enter__bias", torch.full((8,), float("-inf")), "enter.bias"),
        ("action_std", torch.tensor([1.0, 0.0]), "action_std"),
        ("visual_std", torch.tensor([1.0, 1, 1, -2]), "visual_std"),
        ("action_std", torch.ones(2, dtype=torch.int32), "I32"),
        ("action_mean", torch.zeros(2, dtype=torch.complex64), "C64"),
        ("predictor__enter__bias", torch.zeros(8, dtype=torch.float16), "F16"),
        ("predictor__enter__bias", torch.zeros(8, dtype=torch.float64), "F64"),
        ("predictor__enter__bias", torch.zeros(2, 4), "enter.bias"),
        ("more", torch.zeros(1), "more"),
        ("huge", torch.zeros(10**12, 0), "huge"),
    ],
)
def test_weights_that_no_model_has_are_refused(saved, name, value, named):
    path = saved()
    edit_weights(path, **{name: value})
    assert named in refused(path)


def test_the_deviations_of_tokens_are_checked_too(saved):
    path = saved(PoseWorldModel(POSE))
    edit_weights(path, token_std=0 * load_file(path)["token_std"])
    assert "token_std" in refused(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04\x95",
        (2**63).to_bytes(8, "little") + b"{}",
        (2**19).to_bytes(8, "little") + b" " * 2**19 + b"{}",
        (2).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"null",
        save({"a": torch.zeros(3)})[:-4],
        save({"a": torch.zeros(3)}) + b"more",
        save({"a": torch.zeros(3)}).replace(b"[3]", b"[9]"),
    ],
)
def test_a_header_of_any_content_is_refused(saved, content):
    path = saved()
    path.write_bytes(content)
    refused(path)


def test_a_foreign_or_broken_file_stops_no_command(saved, tmp_path, cli, refused, make_trial_rows):
    path = saved()
    (tmp_path / "checkpoints").mkdir()
    foreign, cardless = (tmp_path / "checkpoints" / f"{n}.safetensors" for n in ("alien", "bare"))
    foreign.write_bytes(save({"lm_head": torch.zeros(3)}))
    foreign.with_suffix(".json").write_text(path.with_suffix(".json").read_text())
    cardless.write_bytes(path.read_bytes())
    code, out, err = cli("models")
    assert code == 0
    assert "pusht-compact" in out
    assert not {"alien", "bare"} & set(out.split())
    assert [line.split(": ")[1] for line in err.splitlines()] == ["alien", "bare"]
    assert {"alien", "bare"} <= {summary.name for summary in list_models()}
    rows = make_trial_rows("random")
    write_rows(tmp_path / "rows.parquet", rows)
    _model.cache_clear()
    assert cli("results", "check", "rows.parquet")[0] == 0
    assert cli("replay", "rows.parquet", rows[0]["trial_key"], "-o", "a.gif", "--size", 64)[0] == 0
    assert cli("report", "rows.parquet")[0] == 0
    assert "has no card" in refused("run", "--planner", "cem", "--horizon", 20, "--model", "bare")
    assert "alien" in refused("run", "--planner", "cem", "--horizon", 20, "--model", "alien")


def test_a_prior_is_checked_as_its_model_is_and_must_fit_it(saved):
    path = saved()
    sha256 = read_card(path)["sha256"]
    widths = {"latent": 8, "action": 10}

    def put(**sizes):
        config = PriorConfig(**(widths | {"components": 2, "width": 8, "blocks": 1} | sizes))
        save_prior(MixturePrior(config), prior_path(path), {"model_sha256": sha256})

    put()
    assert load_model(str(path)).prior_sha256 is not None
    put(latent=6)
    assert "8 and 10" in refused(path)
    put(action=4)
    assert "8 and 10" in refused(path)
    for name, value in (("components", 10**9), ("blocks", 10**9), ("width", 0), ("width", "8")):
        put()
        edit_card(
            prior_path(path),
            architecture=read_card(prior_path(path))["architecture"] | {name: value},
        )
        assert name in refused(path)
    put()
    edit_weights(prior_path(path), enter__bias=torch.full((8,), float("nan")))
    assert "enter.bias" in refused(path)
