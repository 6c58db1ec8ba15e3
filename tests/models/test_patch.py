from dataclasses import replace

import numpy as np
import pytest
import torch

from grasp_bench.core.types import WorldModel
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.demonstrator import sample_start
from grasp_bench.models import PatchConfig, PatchWorldModel


def states(count):
    rng = np.random.default_rng(0)
    return np.stack([sample_start(rng) for _ in range(count)])


TINY = PatchConfig(channels=3, encoder_width=8, encoder_blocks=1, token_width=8, width=8, blocks=1)

DINO = replace(
    TINY,
    channels=8,
    image_size=28,
    dinov2={
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "patch_size": 14,
        "image_size": 28,
    },
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = PatchWorldModel(TINY)
    torch.nn.init.normal_(model.predictor.dynamics.leave[-1].weight, std=0.1)
    return model.eval().requires_grad_(False)


def test_it_is_a_world_model_of_tokens(model):
    assert isinstance(model, WorldModel)
    assert model.latent_shape == (8 * 8 * 3 + 4,)
    state = torch.randn(2, 5, 196)
    tokens = model.tokens(state)
    assert tokens.shape == (2, 5, 64, 3)
    torch.testing.assert_close(tokens[1, 2, 9], state[1, 2, 27:30])


def test_encoding_a_batch_equals_encoding_one_by_one(model):
    rows = states(4)
    batch = model.encode(PUSHT.observe(rows, model.view))
    single = torch.cat([model.encode(PUSHT.observe(row[None], model.view)) for row in rows])
    torch.testing.assert_close(batch, single, atol=1e-5, rtol=1e-5)


def test_a_step_takes_any_leading_dimensions_and_moves_only_by_its_own_row(model):
    state, action = torch.randn(3, 4, 196), torch.randn(3, 4, 10)
    whole = model.step(state, action)
    assert whole.shape == state.shape
    torch.testing.assert_close(whole[1, 2], model.step(state[1, 2], action[1, 2]))


def test_the_action_reaches_the_tokens(model):
    state = torch.randn(1, 196)
    action = torch.zeros(1, 10, requires_grad=True)
    (gradient,) = torch.autograd.grad(model.step(state, action)[:, :-4].sum(), action)
    assert gradient.abs().sum() > 0


def test_statistics_standardise_each_channel_over_all_cells(model):
    features = torch.randn(50, 192) * 3 + 1
    mean, scale = model.feature_statistics(features)
    standard = ((features - mean) / scale).reshape(-1, 3)
    torch.testing.assert_close(standard.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.std(0), torch.ones(3))


def test_decoded_pictures_have_the_encoders_size(model):
    pictures = model.decode(torch.randn(2, 196))
    assert pictures.shape == (2, 64, 64, 3)
    assert pictures.dtype == torch.uint8


def test_the_tokens_of_a_dinov2_are_its_normalised_patch_tokens():
    torch.manual_seed(0)
    model = PatchWorldModel(DINO).eval().requires_grad_(False)
    assert model.latent_shape == (2 * 2 * 8 + 4,)
    observation = PUSHT.observe(states(3), model.view)
    features = model.features(observation.pixels)
    whole = model.encoder.backbone(
        pixel_values=observation.pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
    )
    expected = whole.last_hidden_state[:, 1:].flatten(1)
    torch.testing.assert_close(features, expected, atol=1e-4, rtol=1e-4)
    assert model.decode(model.encode(observation)).shape == (3, 28, 28, 3)
    with pytest.raises(ValueError, match="8 channels"):
        replace(DINO, channels=4)


def test_a_picture_that_does_not_divide_into_cells_is_refused():
    with pytest.raises(ValueError, match="cells"):
        PatchConfig(image_size=60)
