"""Pixels to a grid of tokens: the frozen visual features of the patch world model."""

from __future__ import annotations

import importlib
import math
from typing import Any

import torch
from torch import Tensor, nn

from grasp_bench.errors import UserError
from grasp_bench.models.encoder import as_input

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


def flat_tokens(encoder: nn.Module, pixels: Tensor) -> Tensor:
    """Tokens [B, G * G * C], cell by cell, row by row, of pictures [B, S, S, 3] uint8."""
    tokens: Tensor = encoder(as_input(pixels))
    return tokens.permute(0, 2, 3, 1).flatten(1)


class DinoEncoder(nn.Module):
    """DINOv2's patch tokens, normalised, as DINO-WM plans with; needs the `dinov2` extra.

    Args:
        config: what `transformers.Dinov2Config` takes; the weights are loaded separately.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.backbone = transformers().Dinov2Model(transformers().Dinov2Config(**config))

    def forward(self, picture: Tensor) -> Tensor:
        """Tokens [B, C, G, G] of pictures [B, 3, S, S] from `as_input`, G = S / patch size."""
        # `as_input` maps [0, 1] to [2, 0]; DINO-WM normalises with mean = deviation = 0.5.
        tokens: Tensor = self.backbone(pixel_values=1.0 - picture).last_hidden_state[:, 1:]
        grid = math.isqrt(tokens.shape[1])
        return tokens.transpose(1, 2).reshape(len(tokens), -1, grid, grid)


def transformers() -> Any:
    """The transformers package.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise UserError("DINOv2 needs transformers: pip install 'grasp-bench[dinov2]'") from error


class PatchDecoder(nn.Module):
    """Pictures from tokens: the other half of masked prediction, kept for looking at latents."""

    def __init__(self, channels: int, width: int = 96, blocks: int = 1, cell: int = CELL) -> None:
        super().__init__()
        self.cell = cell
        self.enter = nn.Conv2d(channels, width, 1)
        self.blocks = nn.ModuleList(residual_block(width) for _ in range(blocks))
        self.leave = nn.Conv2d(width, 3 * cell * cell, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Pictures [B, 3, S, S], as `as_input` makes them, of tokens [B, C, G, G]."""
        features = self.enter(tokens)
        for block in self.blocks:
            features = features + block(features)
        return nn.functional.pixel_shuffle(self.leave(features), self.cell)

    def pixels(self, tokens: Tensor, grid: int) -> Tensor:
        """Pictures [B, S, S, 3] uint8 of tokens [B, G * G * C], as `flat_tokens` gives them."""
        cells = tokens.reshape(len(tokens), grid, grid, -1).permute(0, 3, 1, 2)
        picture: Tensor = 255.0 - self(cells).permute(0, 2, 3, 1) * (255.0 / 2.0)
        return picture.clamp(0, 255).round().to(torch.uint8)


def residual_block(width: int) -> nn.Module:
    """What is added to features [B, width, G, G] in one block."""
    return nn.Sequential(nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1), nn.GELU())
