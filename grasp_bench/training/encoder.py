"""Stage 1: an encoder that reads keypoints off pixels, by labels or by equivariance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from envs.pusht import WORKSPACE, block_frame_to_world
from envs.render import render
from grasp_bench.models.encoder import KeypointEncoder, as_input, warp, warp_points
from grasp_bench.training.loop import LossFunction

Objective = Literal["labels", "equivariance"]

# Block frame, px: the bar's ends, the stem's end and where the two meet.
BLOCK_KEYPOINTS = ((-60.0, 15.0), (60.0, 15.0), (0.0, 120.0), (0.0, 15.0))

_MARGIN = 0.95  # points that a warp takes beyond this part of the picture say nothing


@dataclass(frozen=True)
class EquivarianceWeights:
    """The self-supervised objective's terms.

    Attributes:
        separation: of the penalty on points closer than `distance`.
        distance: half picture widths.
        concentration: of the penalty on the spread of a point's votes.
    """

    separation: float = 0.1
    distance: float = 0.2
    concentration: float = 0.5


def keypoint_labels(states: np.ndarray) -> np.ndarray:
    """The simulator's keypoints [N, 5, 2] (px) of states [N, 7]: agent, then the block's."""
    block = block_frame_to_world(BLOCK_KEYPOINTS, states)
    return np.concatenate([states[:, None, :2], block], axis=1)


class FramePool:
    """Frames drawn once and kept: [N, S, S, 3] uint8, with the states they show."""

    def __init__(self, states: np.ndarray, image_size: int) -> None:
        self.pixels = torch.from_numpy(render(states, image_size))
        labels = keypoint_labels(states.astype(np.float64)) / (WORKSPACE / 2) - 1.0
        self.labels = torch.from_numpy(labels).float()

    def sample(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Frames as network input [count, 3, S, S] and their labels [count, 5, 2]."""
        rows = torch.randint(len(self.pixels), (count,), generator=generator)
        return as_input(self.pixels[rows]), self.labels[rows]


def _random_warp(
    count: int, turn: float, shift: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    angle = (torch.rand(count, generator=generator) * 2 - 1) * turn
    offset = (torch.rand(count, 2, generator=generator) * 2 - 1) * shift
    return angle, offset


def _read(encoder: KeypointEncoder, picture: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    # bf16 halves the time on CUDA; on CPUs without matrix units for it, it doubles it.
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        return encoder.read(picture.to(device, memory_format=torch.channels_last))


def supervised_loss(encoder: KeypointEncoder, pool: FramePool, batch: int) -> LossFunction:
    """Mean distance of the read points from the simulator's, half of the frames warped."""
    device = next(encoder.parameters()).device

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        picture, labels = pool.sample(batch, generator)
        half = batch // 2
        angle, shift = _random_warp(half, math.pi, 0.25, generator)
        picture = torch.cat([warp(picture[:half], angle, shift), picture[half:]])
        labels = torch.cat([warp_points(labels[:half], angle, shift), labels[half:]])
        points, _ = _read(encoder, picture, device)
        labels = labels.to(device)
        inside = (labels.abs().amax(-1) < _MARGIN).float()
        distance = (points - labels).norm(dim=-1)
        mean = (inside * distance).sum() / inside.sum()
        return mean, {"error_px": round(float(mean.detach()) * WORKSPACE / 2, 3)}

    return loss


def equivariance_loss(
    encoder: KeypointEncoder,
    pool: FramePool,
    batch: int,
    weights: EquivarianceWeights,
) -> LossFunction:
    """Points must move with the picture when it is turned and shifted; no labels are used.

    ‖p_k(R x) - R p_k(x)‖ over random R, a hinge that keeps the points of a frame apart,
    and the variance of each point's votes, so that a point stays near what it depends on.
    """
    device = next(encoder.parameters()).device

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        picture, _ = pool.sample(batch, generator)
        angle, shift = _random_warp(batch, math.pi, 0.25, generator)
        # Small turns are frequent: points must follow those before they can follow large ones.
        angle = angle * (angle / math.pi).square()
        views = torch.cat([picture, warp(picture, angle, shift)])
        points, spread = _read(encoder, views, device)
        moved = warp_points(points[:batch], angle.to(device), shift.to(device))
        inside = (moved.detach().abs().amax(-1) < _MARGIN).float()
        error = ((moved - points[batch:]).square().sum(-1) + 1e-4).sqrt()
        equivariance = (inside * error).sum() / inside.sum().clamp(min=1)
        apart = torch.cdist(points, points) + 9 * torch.eye(points.shape[1], device=device)
        crowding = functional.relu(1 - apart / weights.distance).square().sum((1, 2)).mean()
        total = equivariance + weights.separation * crowding + weights.concentration * spread.mean()
        parts = {
            "equivariance_px": round(float(equivariance.detach()) * WORKSPACE / 2, 3),
            "crowding": round(float(crowding.detach()), 4),
        }
        return total, parts

    return loss
