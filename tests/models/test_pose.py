import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from grasp_bench.core.types import WorldModel
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.demonstrator import sample_start
from grasp_bench.models import (
    PatchConfig,
    PatchWorldModel,
    PoseWorldModel,
    load_model,
    save_checkpoint,
)

TINY = PatchConfig(channels=3, encoder_width=8, encoder_blocks=1, token_width=8, width=8, blocks=1)


@pytest.fixture
def patch():
    torch.manual_seed(0)
    patch = PatchWorldModel(TINY)
    torch.nn.init.normal_(patch.predictor.dynamics.leave[-1].weight, std=0.1)
    patch.visual_std.fill_(0.7)
    patch.predictor.pose_mean.copy_(torch.tensor([0.1, -0.2, 0.0, 0.3]))
    patch.predictor.pose_std.fill_(0.6)
    patch.proprio_std.fill_(90.0)
    return patch.eval().requires_grad_(False)


def observed(model, count):
    rng = np.random.default_rng(0)
    return PUSHT.observe(np.stack([sample_start(rng) for _ in range(count)]), model.view)


def test_its_latent_is_what_the_patch_model_summarises(patch):
    pose = PoseWorldModel(TINY, patch)
    assert isinstance(pose, WorldModel)
    assert pose.latent_shape == (8,)
    seen = observed(patch, 3)
    expected = patch.summary(patch.encode(seen))
    torch.testing.assert_close(pose.encode(seen), expected, atol=1e-5, rtol=1e-5)


def test_a_step_moves_it_as_the_patch_models_step_does_before_drawing(patch):
    pose = PoseWorldModel(TINY, patch)
    state, action = patch.encode(observed(patch, 3)), torch.randn(3, 10)
    moved = pose.step(patch.summary(state), action)
    torch.testing.assert_close(patch.predictor.draw(moved), patch.step(state, action))


def test_it_is_drawn_as_the_patch_model_is(patch):
    pose = PoseWorldModel(TINY, patch)
    state = patch.step(patch.encode(observed(patch, 2)), torch.zeros(2, 10))
    drawn = patch.predictor.draw(patch.summary(state))
    torch.testing.assert_close(pose.decode(patch.summary(state)), patch.decode(drawn))


def test_scales_keep_the_geometry_of_places_and_directions(patch):
    features = torch.randn(500, 4) * torch.tensor([1.0, 3.0, 0.5, 0.7])
    _, scale = PoseWorldModel(TINY, patch).feature_statistics(features)
    assert scale[0] == scale[1]
    assert scale[2] == scale[3]


def test_its_checkpoint_needs_no_patch_model(patch, tmp_path):
    pose = PoseWorldModel(TINY, patch)
    path = tmp_path / "pose.safetensors"
    save_checkpoint(pose, path, {})
    loaded = load_model(str(path)).model
    for name, value in load_file(path).items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=0, atol=0)
    seen = observed(pose, 2)
    torch.testing.assert_close(loaded.encode(seen), pose.encode(seen))
