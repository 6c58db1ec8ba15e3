"""Pixels to keypoints: where K points are, as a differentiable vote of grid cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

GRID = 8
IMAGE_SIZE = 64  # three halvings leave GRID x GRID cells


class KeypointEncoder(nn.Module):
    """A convolutional encoder that reads K points off a 64 x 64 picture.

    Each of the 8 x 8 cells votes for each point: a weight (softmax over cells) and a
    bounded offset from the cell's centre. A point is the weighted mean of the votes, so
    what a cell says counts only for what it sees.
    """

    def __init__(self, keypoints: int, channels: int = 64, blocks: int = 3) -> None:
        super().__init__()
        self.keypoints = keypoints
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2, padding=2),
            nn.GELU(),
            nn.Conv2d(16, 48, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(48, channels, 3, stride=2, padding=1),
            nn.GELU(),
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(8, channels), nn.GELU()
            )
            for _ in range(blocks)
        )
        self.votes = nn.Conv2d(channels, 3 * keypoints, 1)
        centres = (torch.arange(GRID) + 0.5) * (2 / GRID) - 1
        rows, columns = torch.meshgrid(centres, centres, indexing="ij")
        self.cells: Tensor
        self.register_buffer("cells", torch.stack([columns, rows]).flatten(1), persistent=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Points and the spread of their votes.

        Args:
            pixels: [B, S, S, 3] uint8 with S = 64.

        Returns:
            Points [B, K, 2] as (x, y) with the picture spanning [-1, 1], and the variance
            [B, K] of the votes around them.
        """
        return self.read(as_input(pixels))

    def read(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, for pictures [B, 3, S, S] from `as_input`."""
        features = self.stem(picture)
        for block in self.blocks:
            features = features + block(features)
        votes = self.votes(features).float().reshape(len(picture), 3, self.keypoints, -1)
        weights = votes[:, 0].softmax(-1)
        targets = self.cells[None, :, None] + torch.tanh(votes[:, 1:]) * (3.2 / GRID)
        points = (weights[:, None] * targets).sum(-1)
        spread = (weights[:, None] * (targets - points[..., None]) ** 2).sum((1, 3))
        return points.transpose(1, 2), spread


def as_input(pixels: Tensor) -> Tensor:
    """Pictures [B, S, S, 3] uint8 as network input [B, 3, S, S]; white is zero."""
    picture = (255.0 - pixels.permute(0, 3, 1, 2).float()) * (2.0 / 255.0)
    return picture.contiguous(memory_format=torch.channels_last)


def warp(picture: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Rotate and shift pictures [B, 3, S, S]; points follow by `warp_points`.

    Args:
        picture: from `as_input`: what comes in from outside is white.
        angle: [B] rad.
        shift: [B, 2] in half picture widths.
    """
    matrix = torch.cat([_rotation(angle), shift[..., None]], dim=-1)
    grid = functional.affine_grid(matrix, list(picture.shape), align_corners=False)
    return functional.grid_sample(picture, grid, align_corners=False)


def warp_points(points: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Where points [B, K, 2] of a picture lie in its warped copy."""
    return (points - shift[:, None]) @ _rotation(angle)


def _rotation(angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
