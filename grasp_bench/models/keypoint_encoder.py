"""Reads keypoints off pixels by a differentiable vote of grid cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from grasp_bench.models.layers import cell_centres, halving_stem

GRID = 8
IMAGE_SIZE = 64  # three halvings leave GRID x GRID cells


class KeypointEncoder(nn.Module):
    """Reads K points off a 64 x 64 picture with a convolutional network.

    Each of the 8 x 8 cells votes for each point with a weight (softmax over cells) and a
    bounded offset from the cell's centre. A point is the weighted mean of the votes.
    """

    def __init__(self, keypoints: int, channels: int = 64, blocks: int = 3) -> None:
        super().__init__()
        self.keypoints = keypoints
        self.stem = halving_stem(3, 16, channels)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(8, channels), nn.GELU()
            )
            for _ in range(blocks)
        )
        self.votes = nn.Conv2d(channels, 3 * keypoints, 1)
        self.cells: Tensor
        self.register_buffer("cells", cell_centres(GRID).t().contiguous(), persistent=False)

    def forward(self, picture: Tensor) -> Tensor:
        """Returns points [B, K, 2] as (x, y) with the picture spanning [-1, 1].

        Args:
            picture: [B, 3, S, S] from `as_input` with S = 64.
        """
        features = self.stem(picture)
        for block in self.blocks:
            features = features + block(features)
        votes = self.votes(features).float().reshape(len(picture), 3, self.keypoints, -1)
        weights = votes[:, 0].softmax(-1)
        targets = self.cells[None, :, None] + torch.tanh(votes[:, 1:]) * (3.2 / GRID)
        points: Tensor = (weights[:, None] * targets).sum(-1).transpose(1, 2)
        return points
