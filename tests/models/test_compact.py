import numpy as np
import pytest
import torch

from envs.demonstrator import sample_start
from grasp_bench.models import CompactConfig, CompactWorldModel, observe
from grasp_bench.models.encoder import KeypointEncoder, as_input, warp, warp_points
from grasp_bench.types import WorldModel

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
    batch = model.encode(observe(rows, model))
    single = torch.cat([model.encode(observe(row[None], model)) for row in rows])
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


def test_warped_points_follow_the_warped_picture():
    pixels = torch.full((1, 64, 64, 3), 255, dtype=torch.uint8)
    pixels[0, 20:24, 40:44] = 0
    point = torch.tensor([[[(42 / 64) * 2 - 1, (22 / 64) * 2 - 1]]])
    angle, shift = torch.tensor([0.6]), torch.tensor([[0.1, -0.05]])
    picture = warp(as_input(pixels), angle, shift)[0].sum(0)
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    centre = torch.stack([(columns * picture).sum(), (rows * picture).sum()]) / picture.sum()
    expected = warp_points(point, angle, shift)[0, 0]
    torch.testing.assert_close((centre + 0.5) / 32 - 1, expected, atol=0.01, rtol=0)


def test_the_votes_of_an_encoder_are_bounded_by_the_picture():
    encoder = KeypointEncoder(3, channels=16)
    points, spread = encoder(torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8))
    assert points.shape == (4, 3, 2)
    assert points.abs().max() < 1.3
    assert (spread > 0).all()
