import numpy as np
import pytest
import torch

from grasp_bench.core.types import WorldModel
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.demonstrator import sample_start
from grasp_bench.models import CompactConfig, CompactWorldModel
from grasp_bench.models.keypoint_encoder import KeypointEncoder
from grasp_bench.models.layers import as_input

TINY = CompactConfig(encoder_channels=16, width=16, blocks=1, decoder_width=16)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = CompactWorldModel(TINY)
    model.action_mean.copy_(torch.tensor([0.1, -0.2]))
    model.action_std.copy_(torch.tensor([0.2, 0.3]))
    torch.nn.init.normal_(model.predictor.leave[-1].weight, std=0.1)
    return model.eval().requires_grad_(False)


def states(count):
    rng = np.random.default_rng(0)
    return np.stack([sample_start(rng) for _ in range(count)])


def test_it_is_a_world_model(model):
    assert isinstance(model, WorldModel)
    assert model.action_dim == 10
    assert model.latent_shape == (14,)


def test_encoding_a_batch_equals_encoding_one_by_one(model):
    rows = states(6)
    batch = model.encode(PUSHT.observe(rows, model.view))
    single = torch.cat([model.encode(PUSHT.observe(row[None], model.view)) for row in rows])
    torch.testing.assert_close(batch, single, atol=1e-5, rtol=1e-5)


def test_a_step_takes_any_leading_dimensions(model):
    state, action = torch.randn(3, 4, 5, 14), torch.randn(3, 4, 5, 10)
    whole = model.step(state, action)
    assert whole.shape == state.shape
    torch.testing.assert_close(whole[1, 2, 3], model.step(state[1, 2, 3], action[1, 2, 3]))


def test_distance_is_visual_plus_proprioceptive_mean_squared_error(model):
    state, goal = torch.randn(7, 14), torch.randn(7, 14)
    by_hand = ((state - goal)[:, :10] ** 2).mean(1) + ((state - goal)[:, 10:] ** 2).mean(1)
    torch.testing.assert_close(model.distance(state, goal), by_hand)


def test_actions_survive_normalising_and_back_in_order(model):
    actions = torch.randn(2, 15, 2)
    normalised = model.normalise_actions(actions)
    assert normalised.shape == (2, 3, 10)
    torch.testing.assert_close(
        normalised[0, 1, :2], (actions[0, 5] - model.action_mean) / model.action_std
    )
    torch.testing.assert_close(model.denormalise_actions(normalised), actions)


def test_decoded_pictures_have_the_encoders_size(model):
    pictures = model.decode(torch.randn(2, 14))
    assert pictures.shape == (2, 64, 64, 3)
    assert pictures.dtype == torch.uint8


def test_the_votes_of_an_encoder_are_bounded_by_the_picture():
    encoder = KeypointEncoder(3, channels=16)
    points = encoder(as_input(torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8)))
    assert points.shape == (4, 3, 2)
    assert points.abs().max() < 1.3
