"""A probe for latents that are sets of tokens on a grid."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class TokenVotes(nn.Module):
    """Tokens vote for points, and an MLP reads the state off the points.

    Every token gives, by one MLP shared by all, a weight and an offset for each of K points;
    a point is the softmax-weighted mean of token position plus offset. What a token holds is
    thus read in the same way wherever it lies, which takes far fewer frames than an MLP on
    all tokens side by side.
    """

    positions: Tensor

    def __init__(self, tokens: int, channels: int, votes: int, hidden: int, outputs: int) -> None:
        """N tokens of C numbers, K votes; the tokens lie row by row on a square grid."""
        super().__init__()
        side = math.isqrt(tokens)
        if side * side != tokens:
            raise ValueError(f"{tokens} tokens do not lie on a square grid")
        self.votes = votes
        self.token = nn.Sequential(
            nn.Linear(channels, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, 3 * votes),
        )
        self.linear = nn.Linear(2 * votes, outputs)
        self.mlp = nn.Sequential(
            nn.LayerNorm(2 * votes),
            nn.Linear(2 * votes, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, outputs),
        )
        # In the unit of the targets (100 px) the picture spans about five.
        centres = ((torch.arange(side) + 0.5) * (2 / side) - 1) * 2.5
        rows, columns = torch.meshgrid(centres, centres, indexing="ij")
        self.register_buffer("positions", torch.stack([columns, rows], -1).reshape(tokens, 1, 2))

    def forward(self, tokens: Tensor) -> Tensor:
        """Outputs [B, O] of tokens [B, N, C]."""
        cast = self.token(tokens).unflatten(-1, (self.votes, 3))
        weights = cast[..., :1].softmax(dim=1)
        points = (weights * (self.positions + cast[..., 1:])).sum(1).flatten(1)
        output: Tensor = self.linear(points) + self.mlp(points)
        return output
