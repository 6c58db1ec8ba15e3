"""Pixels to a grid of tokens: the frozen visual features of the patch world model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CELL = 8  # pixels a token stands for, in each direction


class PatchEncoder(nn.Module):
    """A convolutional encoder: one token per 8 x 8 pixels, with its surroundings in view.

    Pretrained by masked prediction: some cells of the picture are blanked, marked in a
    fourth input channel, and the whole picture is to be drawn from the tokens.
    """

    def __init__(self, channels: int, width: int = 96, blocks: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(4, 24, 5, stride=2, padding=2),
            nn.GELU(),
            nn.Conv2d(24, 48, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(48, width, 3, stride=2, padding=1),
            nn.GELU(),
        )
        self.blocks = nn.ModuleList(residual_block(width) for _ in range(blocks))
        self.tokens = nn.Conv2d(width, channels, 1)

    def forward(self, picture: Tensor, blanked: Tensor | None = None) -> Tensor:
        """Tokens [B, C, G, G] of pictures [B, 3, S, S] from `as_input`, G = S / 8.

        Args:
            picture: white is zero.
            blanked: [B, 1, G, G], 1 where a cell is to be hidden; none if not given.
        """
        if blanked is None:
            hidden = torch.zeros_like(picture[:, :1])
        else:
            hidden = blanked.repeat_interleave(CELL, -1).repeat_interleave(CELL, -2)
            picture = picture * (1 - hidden)
        features = self.stem(torch.cat([picture, hidden], dim=1))
        for block in self.blocks:
            features = features + block(features)
        tokens: Tensor = self.tokens(features)
        return tokens


class PatchDecoder(nn.Module):
    """Pictures from tokens: the other half of masked prediction, kept for looking at latents."""

    def __init__(self, channels: int, width: int = 96, blocks: int = 1) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, width, 1)
        self.blocks = nn.ModuleList(residual_block(width) for _ in range(blocks))
        self.leave = nn.Conv2d(width, 3 * CELL * CELL, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Pictures [B, 3, S, S], as `as_input` makes them, of tokens [B, C, G, G]."""
        features = self.enter(tokens)
        for block in self.blocks:
            features = features + block(features)
        return nn.functional.pixel_shuffle(self.leave(features), CELL)


def residual_block(width: int) -> nn.Module:
    """What is added to features [B, width, G, G] in one block."""
    return nn.Sequential(nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1), nn.GELU())
