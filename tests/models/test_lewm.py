"""LeWM: the architecture and the import, against numbers of the original code."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import Observation, Problem
from grasp_bench.models.importing.lewm_files import read_lewm
from grasp_bench.models.importing.torch_archive import read_torch_archive
from grasp_bench.planners.objective import goal_cost
from grasp_bench.planners.rollout import rollout

FIXTURES = Path(__file__).with_name("fixtures")
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
# The transformers library before version 5.
OLDER = {
    "encoder.layers.": "encoder.encoder.layer.",
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


@pytest.fixture(scope="module")
def model():
    found, _ = read_lewm(FIXTURES / "lewm")
    return found.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def original():
    return load_file(FIXTURES / "lewm.safetensors")


@pytest.fixture(scope="module")
def problem(model, original):
    start = model.encode(Observation(original["pictures"], torch.zeros(2, 4)))
    return Problem(model, start, original["goal"], steps=16)


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(FIXTURES / "lewm", tmp_path / "lewm"))


def rewritten(folder, change):
    """Saves the fixture's state dict anew, changed."""
    state = read_torch_archive(folder / "weights.pt")
    torch.save(change(dict(state)), folder / "weights.pt")
    return folder


def test_a_picture_is_encoded_as_in_the_original(problem, original):
    torch.testing.assert_close(problem.start, original["latents"][:, 0], **CLOSE)


def test_a_step_and_a_rollout_of_16_are_those_of_the_original(problem, original):
    following = problem.model.step(problem.start, original["actions"][:, 0])
    torch.testing.assert_close(following, original["latents"][:, 1], **CLOSE)
    states = rollout(problem.model, problem.start, original["actions"])
    torch.testing.assert_close(states, original["latents"][:, 1:], **CLOSE)


def test_the_cost_and_its_gradient_are_those_of_the_original(problem, original):
    actions = original["actions"].clone().requires_grad_()
    cost = goal_cost(problem, actions)
    (gradient,) = torch.autograd.grad(cost.sum(), actions)
    torch.testing.assert_close(cost.detach(), original["cost"], **CLOSE)
    torch.testing.assert_close(gradient, original["gradient"], **CLOSE)


def test_both_namings_of_the_encoder_give_the_same_model(problem, original, folder):
    def older(state):
        for new, old in OLDER.items():
            state = {name.replace(new, old) if name.startswith("encoder.") else name: value
                     for name, value in state.items()}  # fmt: skip
        return state

    again, counters = read_lewm(rewritten(folder, older))
    assert len(counters) == 2
    start = again.eval().encode(Observation(original["pictures"], torch.zeros(2, 4)))
    torch.testing.assert_close(start, problem.start, rtol=0, atol=0)


def test_the_older_files_of_a_name_are_read_too(problem, folder):
    state = read_torch_archive(folder / "weights.pt")
    (folder / "weights.pt").unlink()
    torch.save({f"model.{name}": value for name, value in state.items()}, folder / "a_weight.ckpt")
    again, _ = read_lewm(folder)
    for name, value in problem.model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)


def test_a_missing_tensor_and_one_too_many_are_named(folder):
    def fewer(state):
        del state["predictor.transformer.layers.1.attn.norm.bias"]
        return state

    with pytest.raises(UserError, match=r"blocks\.1\.attention\.norm\.bias.*missing"):
        read_lewm(rewritten(folder, fewer))


def test_a_tensor_too_many_is_named(folder):
    with pytest.raises(UserError, match="head"):
        read_lewm(rewritten(folder, lambda state: state | {"head.weight": torch.zeros(1)}))


def test_numbers_that_are_not_finite_are_refused(folder):
    def broken(state):
        state["predictor.pos_embedding"][0, 0, 0] = float("nan")
        return state

    with pytest.raises(UserError, match="'place'"):
        read_lewm(rewritten(folder, broken))


@pytest.mark.parametrize("shape", [(10**9, 0), (0, 10**9), (10**6,)])
def test_a_shape_that_holds_nothing_allocates_nothing(folder, shape):
    def absurd(state):
        return state | {"predictor.transformer.layers.0.mlp.net.1.weight": torch.zeros(shape)}

    with pytest.raises(UserError, match="shape"):
        read_lewm(rewritten(folder, absurd))


def test_two_tensors_of_one_name_are_refused(folder):
    with pytest.raises(UserError, match="one name"):
        read_lewm(
            rewritten(
                folder,
                lambda s: s | {"model.predictor.pos_embedding": s["predictor.pos_embedding"]},
            )
        )


class Module(torch.nn.Module):
    """Stands for the original's classes, which the older object files name."""


def nested(state):
    """Makes modules that hold the tensors of a state dict."""
    top = Module()
    for name, value in state.items():
        *path, last = name.split(".")
        inner = top
        for part in path:
            if part not in inner._modules:
                inner.add_module(part, Module())
            inner = inner._modules[part]
        inner.register_buffer(last, value)
    return top


def test_an_object_file_is_read_without_its_classes(problem, folder):
    state = read_torch_archive(folder / "weights.pt")
    torch.save(nested(state), folder / "a_object.ckpt")
    again, _ = read_lewm(folder / "a_object.ckpt")
    for name, value in problem.model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    "config", [{"predictor": {"heads": 1e999}}, {"predictor": 3}, {"encoder": {"size": []}}]
)
def test_a_configuration_of_any_content_is_refused(folder, config):
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"config\.json"):
        read_lewm(folder)


def test_a_configuration_of_another_kind_is_refused(folder):
    (folder / "config.json").write_text(json.dumps({"encoder": {"size": "giant"}}))
    with pytest.raises(UserError, match="giant"):
        read_lewm(folder)
    (folder / "config.json").write_text("[1]")
    with pytest.raises(UserError, match="configuration"):
        read_lewm(folder)


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(UserError, match="0 files"):
        read_lewm(tmp_path)
