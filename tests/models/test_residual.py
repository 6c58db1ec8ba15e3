"""The step with frozen weights against the step that training differentiates."""

import copy

import pytest
import torch

from grasp_bench.models.residual import ResidualPredictor

LATENT, ACTION = 14, 10


@pytest.fixture
def predictor():
    torch.manual_seed(0)
    predictor = ResidualPredictor(LATENT, ACTION, width=32, blocks=2)
    torch.nn.init.normal_(predictor.leave[-1].weight, std=0.2)
    return predictor


def frozen(predictor):
    return copy.deepcopy(predictor).requires_grad_(False)


def step(predictor, leading, with_state):
    generator = torch.Generator().manual_seed(1)
    state = torch.randn(*leading, LATENT, generator=generator).requires_grad_(with_state)
    action = torch.randn(*leading, ACTION, generator=generator).requires_grad_()
    reached = predictor(state, action)
    inputs = (state, action) if with_state else (action,)
    upstream = torch.randn(reached.shape, generator=generator)
    return reached.detach(), *torch.autograd.grad(reached, inputs, upstream)


@pytest.mark.parametrize("leading", [(1,), (7,), (1, 16), (3, 5, 20)])
@pytest.mark.parametrize("with_state", [False, True])
def test_steps_and_gradients_are_those_of_training(predictor, leading, with_state):
    for planning, training in zip(
        step(frozen(predictor), leading, with_state),
        step(predictor, leading, with_state),
        strict=True,
    ):
        torch.testing.assert_close(planning, training)


def test_weights_that_change_are_noticed(predictor):
    planning = frozen(predictor)
    before = step(planning, (16,), False)[0]
    with torch.no_grad():
        planning.blocks[0][1].weight.mul_(2)
        predictor.blocks[0][1].weight.mul_(2)
    after = step(planning, (16,), False)[0]
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, step(predictor, (16,), False)[0])
    planning.load_state_dict({k: torch.zeros_like(v) for k, v in predictor.state_dict().items()})
    state = torch.ones(16, LATENT)
    assert torch.equal(planning(state, torch.ones(16, ACTION)), state)


def test_thawed_weights_learn(predictor):
    planning = frozen(predictor)
    step(planning, (16,), False)
    planning.requires_grad_()
    planning(torch.ones(16, LATENT), torch.ones(16, ACTION)).sum().backward()
    assert all(parameter.grad is not None for parameter in planning.parameters())


def test_a_second_derivative_is_refused_instead_of_wrong(predictor):
    action = torch.randn(16, ACTION).requires_grad_()
    reached = frozen(predictor)(torch.randn(16, LATENT), action)
    (slope,) = torch.autograd.grad(reached.sum(), action, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        slope.sum().backward()
