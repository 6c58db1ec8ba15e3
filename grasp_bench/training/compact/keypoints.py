"""The compact model's first stage: an encoder that reads keypoints off pixels, from labels."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from grasp_bench.core.types import View
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.simulator import WORKSPACE, block_frame_to_world
from grasp_bench.models.keypoint_encoder import KeypointEncoder
from grasp_bench.models.layers import as_input
from grasp_bench.training.loop import LossFunction, mixed_precision

# Block frame, px: the bar's ends, the stem's end and where the two meet.
BLOCK_KEYPOINTS = ((-60.0, 15.0), (60.0, 15.0), (0.0, 120.0), (0.0, 15.0))

_MARGIN = 0.95  # the loss ignores points that a warp takes beyond this part of the picture
_SHIFT = 0.25  # largest shift of a warp, in half picture widths


def keypoint_labels(states: np.ndarray) -> np.ndarray:
    """Returns the keypoints [N, 5, 2] (px) of states [N, 7]: the agent, then the block's four."""
    block = block_frame_to_world(BLOCK_KEYPOINTS, states)
    return np.concatenate([states[:, None, :2], block], axis=1)


def keypoint_loss(
    encoder: KeypointEncoder, states: np.ndarray, view: View, batch: int
) -> LossFunction:
    """Returns the mean distance of the read points from the labels, half of the frames warped.

    Args:
        encoder: the part that learns.
        states: [N, 7] of the frames to draw batches from.
        view: how they are drawn.
        batch: frames a step.
    """
    device = next(encoder.parameters()).device
    pixels = PUSHT.observe(states, view).pixels
    # Labels are (x, y) with the picture spanning [-1, 1].
    scaled = keypoint_labels(states.astype(np.float64)) / (WORKSPACE / 2) - 1.0
    points = torch.from_numpy(scaled).float()
    half = batch // 2

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = torch.randint(len(pixels), (batch,), generator=generator)
        picture, labels = as_input(pixels[rows]), points[rows]
        angle = (torch.rand(half, generator=generator) * 2 - 1) * math.pi
        shift = (torch.rand(half, 2, generator=generator) * 2 - 1) * _SHIFT
        picture = torch.cat([warp(picture[:half], angle, shift), picture[half:]])
        labels = torch.cat([warp_points(labels[:half], angle, shift), labels[half:]]).to(device)
        with mixed_precision(device):
            read = encoder(picture.to(device, memory_format=torch.channels_last))
        inside = (labels.abs().amax(-1) < _MARGIN).float()
        distance = (read - labels).norm(dim=-1)
        mean = (inside * distance).sum() / inside.sum()
        return mean, {"error_px": round(float(mean.detach()) * WORKSPACE / 2, 3)}

    return loss


def warp(picture: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Rotates and shifts pictures [B, 3, S, S]; `warp_points` moves points alike.

    Args:
        picture: from `as_input`, so that white comes in from outside.
        angle: [B] rad.
        shift: [B, 2] in half picture widths.
    """
    matrix = torch.cat([_rotation(angle), shift[..., None]], dim=-1)
    grid = functional.affine_grid(matrix, list(picture.shape), align_corners=False)
    return functional.grid_sample(picture, grid, align_corners=False)


def warp_points(points: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Returns where points [B, K, 2] of a picture lie in its warped copy."""
    return (points - shift[:, None]) @ _rotation(angle)


def _rotation(angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
