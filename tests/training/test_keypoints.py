import numpy as np
import torch

from grasp_bench.models.layers import as_input
from grasp_bench.training.compact.keypoints import keypoint_labels, warp, warp_points


def test_keypoint_labels_are_rigid_with_the_block():
    rng = np.random.default_rng(0)
    states = rng.uniform(-3, 3, (5, 7)) * [50, 50, 50, 50, 1, 0, 0] + [256, 256, 256, 256, 0, 0, 0]
    labels = keypoint_labels(states)
    np.testing.assert_allclose(np.linalg.norm(labels[:, 1] - labels[:, 2], axis=1), 120.0)
    np.testing.assert_allclose(np.linalg.norm(labels[:, 3] - labels[:, 4], axis=1), 105.0)
    np.testing.assert_array_equal(labels[:, 0], states[:, :2])


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
