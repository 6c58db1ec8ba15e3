"""DINO-WM: the architecture and the import, against numbers of the original code."""

import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import Objective, Problem
from grasp_bench.models.importing.dino_wm_files import read_dino_wm
from grasp_bench.models.importing.torch_archive import named_tensors, read_torch_archive
from grasp_bench.planners.objective import goal_cost
from grasp_bench.planners.rollout import rollout
from grasp_bench.trial.metered import MeteredModel

FIXTURES = Path(__file__).with_name("fixtures")
ENCODER = {"hidden_size": 12, "patch_size": 14, "image_size": 28, "num_hidden_layers": 1,
           "num_attention_heads": 2}  # fmt: skip
FILE = FIXTURES / "dino_wm" / "checkpoints" / "model_latest.pth"
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def model():
    found, _ = read_dino_wm(FIXTURES / "dino_wm", lambda: ENCODER)
    with torch.no_grad():
        # The original's inputs are standardised before.
        for name in ("action", "proprio"):
            found.get_buffer(f"{name}_mean").zero_()
            found.get_buffer(f"{name}_std").fill_(1.0)
    return found.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def original():
    return load_file(FIXTURES / "dino_wm.safetensors")


@pytest.fixture(scope="module")
def problem(model, original):
    goal = torch.cat(
        [original["goal_features"][:, 0], original["goal_proprio"].expand(-1, 4, -1)], dim=-1
    )
    start = model.latent(original["features"][:, 0], original["proprio"][:, 0])
    return Problem(model, start, goal, steps=16, objective=Objective(proprio_weight=0.5))


def test_a_frame_is_encoded_as_in_the_original(problem, original):
    torch.testing.assert_close(problem.start[..., :12], original["visual"][:, 0], **CLOSE)
    for token in range(4):
        embedded = problem.start[:, token, 12:]
        torch.testing.assert_close(embedded, original["proprio_embedded"][:, 0], **CLOSE)


def test_a_step_is_that_of_the_original(problem, original):
    following = problem.model.step(problem.start, original["actions"][:, 0])
    torch.testing.assert_close(following[..., :12], original["visual"][:, 1], **CLOSE)
    torch.testing.assert_close(following[:, 0, 12:], original["proprio_embedded"][:, 1], **CLOSE)


def test_a_rollout_of_16_steps_remembers_three_frames_as_the_original_does(problem, original):
    states = rollout(problem.model, problem.start, original["actions"])
    torch.testing.assert_close(states[..., :12], original["visual"][:, 1:], **CLOSE)
    torch.testing.assert_close(states[:, :, 0, 12:], original["proprio_embedded"][:, 1:], **CLOSE)
    problem.model.context = 1
    try:
        forgetful = rollout(problem.model, problem.start, original["actions"])
    finally:
        problem.model.context = 3
    torch.testing.assert_close(forgetful[:, 0], states[:, 0])
    assert not torch.allclose(forgetful[:, 5], states[:, 5], **CLOSE)


def test_the_objective_and_its_gradient_are_those_of_the_original(problem, original):
    actions = original["actions"].clone().requires_grad_()
    cost = goal_cost(problem, actions)
    (gradient,) = torch.autograd.grad(cost.sum(), actions)
    torch.testing.assert_close(cost.detach(), original["cost"], **CLOSE)
    torch.testing.assert_close(gradient, original["gradient"], **CLOSE)


def test_a_population_is_rolled_out_together_and_counted(problem, original):
    meter = MeteredModel(problem.model)
    plans = original["actions"][:, None].expand(-1, 3, -1, -1)
    costs = goal_cost(replace(problem, model=meter), plans)
    torch.testing.assert_close(costs, original["cost"][:, None].expand(-1, 3), **CLOSE)
    assert meter.model_evals_forward == 2 * 3 * 16


def test_the_checkpoint_is_read_whole_and_what_is_left_out_is_named():
    model, left_out = read_dino_wm(FIXTURES / "dino_wm", lambda: ENCODER)
    assert left_out == ["epoch", "predictor_optimizer"]
    assert (model.config.depth, model.config.heads, model.config.head_width) == (2, 2, 8)
    assert (model.config.frames, model.config.side, model.frameskip) == (3, 2, 5)
    assert model.action_std.tolist() == pytest.approx([0.2019, 0.2002])


def repacked(tmp_path, change, compress=zipfile.ZIP_STORED):
    """Writes the fixture anew with its pickle and members changed."""
    path = tmp_path / "changed.pth"
    with (
        zipfile.ZipFile(FILE) as old,
        zipfile.ZipFile(path, "w", compress) as new,
    ):
        for name in old.namelist():
            for kept, data in change(name, old.read(name)):
                new.writestr(kept, data)
    return path


def test_a_missing_tensor_and_one_too_many_are_named(tmp_path):
    content = read_torch_archive(FILE)
    assert set(named_tensors(content["action_encoder"])) == {
        "patch_embed.weight",
        "patch_embed.bias",
    }

    def renamed(name, data):
        return [(name, data.replace(b"pos_embedding", b"pos_embeddinG"))]

    with pytest.raises(UserError, match="pos_embeddinG"):
        read_dino_wm(repacked(tmp_path, renamed), lambda: ENCODER)
    with pytest.raises(UserError, match="12 wide"):
        read_dino_wm(FIXTURES / "dino_wm", lambda: ENCODER | {"hidden_size": 13})


class Evil:
    def __reduce__(self):
        import os

        return os.system, ("touch /tmp/grasp-bench-executed",)


class Evaluated:
    def __reduce__(self):
        return eval, ("__import__('os').system('touch /tmp/grasp-bench-executed')",)


@pytest.mark.parametrize("payload", [Evil(), Evaluated(), {"predictor": Evil()}])
def test_what_a_pickle_names_is_never_called(tmp_path, payload):
    marker = Path("/tmp/grasp-bench-executed")
    marker.unlink(missing_ok=True)

    def swapped(name, data):
        return [(name, pickle.dumps(payload) if name.endswith("data.pkl") else data)]

    path = repacked(tmp_path, swapped)
    with pytest.raises(UserError):
        read_dino_wm(path, lambda: ENCODER)
    assert not marker.exists()


DOUBLED = b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 60  # 2^60 empty tuples, spelt out
A_STORAGE = (
    b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuM\x08\x01tQK\x00"
)
A_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n" + A_STORAGE + b"(M\x08\x01t(K\x01t\x89}tR"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (DOUBLED + b"}h\x00K\x01s.", "a key is a tuple"),
        (DOUBLED + b"h\x00\x93.", "where a str belongs"),
        (DOUBLED + b"ccollections\nOrderedDict\n]h\x00h\x00\x86a\x85R.", "a key is a tuple"),
        (b"\x80\x02](" + A_TENSOR * 21_000 + b"e.", "more than the file can hold"),
        (b"\x80\x02" + b"]" * 1_100_000 + b".", "more than 1048576 operations"),
        (b"\x80\x02" + b"]" * 2**23 + b".", "8388608 are expected"),
        (b"S'\\d'\n.", "holds str"),
    ],
)
def test_a_pickle_that_multiplies_what_it_holds_is_refused(tmp_path, content, word):
    def swapped(name, data):
        return [(name, content if name.endswith("data.pkl") else data)]

    path = repacked(tmp_path, swapped)
    with pytest.raises(UserError, match=word):
        read_dino_wm(path, lambda: ENCODER)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda name, data: [] if name.endswith("/0") else [(name, data)], "data/0"),
        (lambda name, data: [(name, data[:-4] if name.endswith("/0") else data)], "bytes"),
        (lambda name, data: [(f"../{name}", data)], "data.pkl"),
        (lambda name, data: [(name, data), (f"more{name}", data)], "data.pkl"),
        (lambda name, data: [(name, data[:40] if name.endswith("pkl") else data)], "readable"),
    ],
)
def test_a_damaged_archive_is_refused_in_a_sentence(tmp_path, change, word):
    with pytest.raises(UserError, match=word):
        read_dino_wm(repacked(tmp_path, change), lambda: ENCODER)


def test_a_compressed_archive_is_refused_before_it_is_expanded(tmp_path):
    path = repacked(tmp_path, lambda name, data: [(name, data)], zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="compressed"):
        read_torch_archive(path)


def test_other_files_are_refused(tmp_path):
    other = tmp_path / "other.pth"
    torch.save({"epoch": 1}, other)
    with pytest.raises(UserError, match="'predictor'"):
        read_dino_wm(other, lambda: ENCODER)
    other.write_bytes(b"\x80\x04\x95")
    with pytest.raises(UserError, match="archive"):
        read_dino_wm(other, lambda: ENCODER)
    with pytest.raises(UserError, match="cannot be read"):
        read_dino_wm(tmp_path / "none.pth", lambda: ENCODER)


@pytest.mark.parametrize(
    ("settings", "word"),
    [("concat_dim: 0\npredictor: {heads: 2}", "concat_dim"), ("[1", "heads"), ("a: 1", "heads"),
     ("a: &a [1]\npredictor: {heads: *a}", "heads"), ("predictor: {heads: -2}", "built"),
     ("predictor: {heads: x}", "heads"), ("!!python/object/apply:os.system [ls]", "heads")],
)  # fmt: skip
def test_settings_of_another_kind_are_refused(tmp_path, settings, word):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "hydra.yaml").write_text(settings)
    (tmp_path / "checkpoints" / "model_latest.pth").write_bytes(FILE.read_bytes())
    with pytest.raises(UserError, match=word):
        read_dino_wm(tmp_path, lambda: ENCODER)
