import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from grasp_bench.core.types import WorldModel
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.demonstrator import sample_start
from grasp_bench.models import PoseConfig, PoseWorldModel, load_model, save_checkpoint
from grasp_bench.models.patch_encoder import flat_tokens

TINY = PoseConfig(channels=3, encoder_width=8, encoder_blocks=1, token_width=8, width=8, blocks=1)


@pytest.fixture
def pose():
    torch.manual_seed(0)
    model = PoseWorldModel(TINY)
    torch.nn.init.normal_(model.predictor.leave[-1].weight, std=0.1)
    model.token_std.fill_(0.7)
    model.visual_mean.copy_(torch.tensor([0.1, -0.2, 0.0, 0.3]))
    model.visual_std.fill_(0.6)
    model.proprio_std.fill_(90.0)
    return model.eval().requires_grad_(False)


def observed(model, count):
    rng = np.random.default_rng(0)
    return PUSHT.observe(np.stack([sample_start(rng) for _ in range(count)]), model.view)


def test_its_latent_is_a_pose_read_from_standardised_tokens_and_proprioception(pose):
    assert isinstance(pose, WorldModel)
    assert pose.latent_shape == (8,)
    seen = observed(pose, 3)
    read = pose.reader(flat_tokens(pose.encoder, seen.pixels) / 0.7)
    latent = pose.encode(seen)
    torch.testing.assert_close(latent[:, :4], (read - pose.visual_mean) / 0.6)
    torch.testing.assert_close(latent[:, 4:], seen.proprio / 90.0)


def test_encoding_a_batch_equals_encoding_one_by_one(pose):
    seen = observed(pose, 4)
    rows = [type(seen)(seen.pixels[i : i + 1], seen.proprio[i : i + 1]) for i in range(4)]
    single = torch.cat([pose.encode(row) for row in rows])
    torch.testing.assert_close(pose.encode(seen), single, atol=1e-5, rtol=1e-5)


def test_decoded_pictures_have_the_encoders_size_and_show_the_pose_alone(pose):
    state = pose.encode(observed(pose, 2))
    pictures = pose.decode(state)
    assert pictures.shape == (2, 64, 64, 3)
    assert pictures.dtype == torch.uint8
    faster = state.clone()
    faster[:, 6:] += 1.0  # the agent's velocity
    assert torch.equal(pose.decode(faster), pictures)


def test_scales_keep_the_geometry_of_places_and_directions(pose):
    features = torch.randn(500, 4) * torch.tensor([1.0, 3.0, 0.5, 0.7])
    _, scale = pose.feature_statistics(features)
    assert scale[0] == scale[1]
    assert scale[2] == scale[3]


def test_a_checkpoint_holds_all_of_it(pose, tmp_path):
    path = tmp_path / "pose.safetensors"
    save_checkpoint(pose, path, {})
    loaded = load_model(str(path)).model
    for name, value in load_file(path).items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=0, atol=0)
    seen = observed(pose, 2)
    torch.testing.assert_close(loaded.encode(seen), pose.encode(seen))


def test_a_picture_that_does_not_divide_into_cells_is_refused():
    with pytest.raises(ValueError, match="cells"):
        PoseConfig(image_size=60)
