import pickle

import pytest
import torch

from grasp_bench.core.types import Observation, View, WorldModel
from grasp_bench.models.linear import LinearModel
from grasp_bench.trial.metered import MeteredModel


class DecodingModel(LinearModel):
    def decode(self, state):
        return state + 1


@pytest.fixture
def meter():
    return MeteredModel(DecodingModel(torch.eye(4), torch.ones(4, 2)))


def test_rows_are_the_product_of_the_leading_dimensions(meter):
    meter.step(torch.zeros(3, 5, 4), torch.zeros(3, 5, 2))
    meter.step(torch.zeros(7, 4), torch.zeros(7, 2))
    meter.step(torch.zeros(4), torch.zeros(2))
    assert (meter.model_evals_forward, meter.model_evals_backward) == (15 + 7 + 1, 0)


def test_a_backward_row_is_one_a_gradient_flowed_through(meter):
    action = torch.zeros(3, 2, requires_grad=True)
    used = meter.step(torch.zeros(3, 4), action)
    meter.step(torch.zeros(3, 4), action)
    with torch.no_grad():
        meter.step(torch.zeros(3, 4), action)
    assert (meter.model_evals_forward, meter.model_evals_backward) == (9, 0)
    used.sum().backward()
    assert (meter.model_evals_forward, meter.model_evals_backward) == (9, 3)


def test_a_serial_rollout_counts_every_step_both_ways(meter):
    action = torch.zeros(3, 2, requires_grad=True)
    state = torch.zeros(3, 4)
    for _ in range(5):
        state = meter.step(state, action)
    torch.autograd.grad(state.sum(), action)
    assert (meter.model_evals_forward, meter.model_evals_backward) == (15, 15)


def test_counting_changes_no_number(meter):
    action = torch.rand(3, 2, requires_grad=True)
    plain = DecodingModel(torch.eye(4), torch.ones(4, 2))
    gradients = [
        torch.autograd.grad(m.step(torch.ones(3, 4), action).square().sum(), action)[0]
        for m in (meter, plain)
    ]
    assert torch.equal(*gradients)


def test_everything_else_is_the_wrapped_models(meter):
    assert isinstance(meter, WorldModel)
    assert (meter.frameskip, meter.action_dim, meter.latent_shape) == (1, 2, (4,))
    assert meter.view == View(8)
    state = torch.rand(3, 4)
    assert torch.equal(meter.decode(state), state + 1)
    assert torch.equal(meter.distance(state, state), torch.zeros(3))
    assert torch.equal(meter.encode(Observation(torch.zeros(0), state)), state)
    actions = torch.rand(6, 2)
    assert torch.equal(meter.denormalise_actions(meter.normalise_actions(actions)), actions)
    with pytest.raises(AttributeError, match="imagine"):
        meter.imagine()


def test_it_can_be_sent_to_a_worker(meter):
    assert pickle.loads(pickle.dumps(meter)).action_dim == 2
