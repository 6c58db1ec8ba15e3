"""Encoders from pixels to a grid of tokens, and the decoder back."""

from __future__ import annotations

import importlib
import math
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from grasp_bench.core.errors import UserError
from grasp_bench.models.layers import as_input, halving_stem

CELL = 8  # pixels that a token describes, in each direction, unless said otherwise


class PatchEncoder(nn.Module):
    """Encodes a picture as one token per cell of pixels with a convolutional network.

    Masked prediction pretrains it: some cells are blanked and marked in a fourth input
    channel, and a decoder draws the whole picture from the tokens.
    """

    def __init__(
        self,
        channels: int,
        width: int = 96,
        blocks: int = 3,
        normed: bool = False,
        cell: int = CELL,
    ) -> None:
        """Takes C and the sizes; normed tokens have mean 0 and deviation 1, as DINOv2's.

        Raises:
            ValueError: a cell's width in px is not 8, 16, 32 or a further double.
        """
        super().__init__()
        self.normed, self.cell = normed, cell
        halvings = (cell // CELL).bit_length() - 1
        if halvings < 0 or CELL << halvings != cell:
            raise ValueError(f"cells of {cell} px: they are {CELL} px, or twice that, and so on")
        self.stem = halving_stem(4, 24, width)
        for _ in range(halvings):
            self.stem.extend([nn.Conv2d(width, width, 3, stride=2, padding=1), nn.GELU()])
        self.blocks = nn.ModuleList(_residual_block(width) for _ in range(blocks))
        self.tokens = nn.Conv2d(width, channels, 1)

    def forward(self, picture: Tensor, blanked: Tensor | None = None) -> Tensor:
        """Returns tokens [B, C, G, G] of pictures [B, 3, S, S] from `as_input`, G = S / cell.

        Args:
            picture: white is zero.
            blanked: [B, 1, G, G], 1 where a cell is hidden; None hides no cell.
        """
        if blanked is None:
            hidden = torch.zeros_like(picture[:, :1])
        else:
            hidden = blanked.repeat_interleave(self.cell, -1).repeat_interleave(self.cell, -2)
            picture = picture * (1 - hidden)
        features = self.stem(torch.cat([picture, hidden], dim=1))
        for block in self.blocks:
            features = features + block(features)
        tokens: Tensor = self.tokens(features)
        if self.normed:
            tokens = (tokens - tokens.mean(1, keepdim=True)) / (tokens.std(1, keepdim=True) + 1e-6)
        return tokens


def flat_tokens(encoder: nn.Module, pixels: Tensor) -> Tensor:
    """Encodes pictures [B, S, S, 3] uint8 as tokens [B, G * G * C], cell by cell, row by row."""
    tokens: Tensor = encoder(as_input(pixels))
    return tokens.permute(0, 2, 3, 1).flatten(1)


class _DinoSizes(TypedDict):
    hidden_size: int
    patch_size: int


class DinoConfig(_DinoSizes, total=False):
    """Holds what of a `transformers.Dinov2Config` decides the network."""

    num_hidden_layers: int
    num_attention_heads: int
    mlp_ratio: int
    hidden_act: str
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    initializer_range: float
    layer_norm_eps: float
    image_size: int
    num_channels: int
    qkv_bias: bool
    layerscale_value: float
    drop_path_rate: float
    use_swiglu_ffn: bool
    use_mask_token: bool


class DinoEncoder(nn.Module):
    """Encodes a picture as DINOv2's normalised patch tokens, as DINO-WM does.

    It needs the extra `models`. `config` is what `transformers.Dinov2Config` takes; the
    weights are loaded separately.
    """

    def __init__(self, config: DinoConfig) -> None:
        super().__init__()
        self.backbone = transformers().Dinov2Model(transformers().Dinov2Config(**config))

    def forward(self, picture: Tensor) -> Tensor:
        """Returns tokens [B, C, G, G] of pictures [B, 3, S, S] from `as_input`, G = S / patch."""
        # `as_input` maps [0, 1] to [2, 0]; DINO-WM normalises with mean = deviation = 0.5.
        tokens: Tensor = self.backbone(pixel_values=1.0 - picture).last_hidden_state[:, 1:]
        grid = math.isqrt(tokens.shape[1])
        return tokens.transpose(1, 2).reshape(len(tokens), -1, grid, grid)


def transformers() -> Any:
    """Imports the transformers package.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise UserError("DINOv2 needs transformers: pip install 'grasp-bench[models]'") from error


class PatchDecoder(nn.Module):
    """Draws pictures from tokens, in masked prediction and for people to look at latents."""

    def __init__(self, channels: int, width: int = 96, blocks: int = 1, cell: int = CELL) -> None:
        super().__init__()
        self.cell = cell
        self.enter = nn.Conv2d(channels, width, 1)
        self.blocks = nn.ModuleList(_residual_block(width) for _ in range(blocks))
        self.leave = nn.Conv2d(width, 3 * cell * cell, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Draws pictures [B, 3, S, S], as `as_input` makes them, of tokens [B, C, G, G]."""
        features = self.enter(tokens)
        for block in self.blocks:
            features = features + block(features)
        return nn.functional.pixel_shuffle(self.leave(features), self.cell)

    def pixels(self, tokens: Tensor, grid: int) -> Tensor:
        """Draws pictures [B, S, S, 3] uint8 of tokens [B, G * G * C] from `flat_tokens`."""
        cells = tokens.reshape(len(tokens), grid, grid, -1).permute(0, 3, 1, 2)
        picture: Tensor = 255.0 - self(cells).permute(0, 2, 3, 1) * (255.0 / 2.0)
        return picture.clamp(0, 255).round().to(torch.uint8)


def _residual_block(width: int) -> nn.Module:
    return nn.Sequential(nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1), nn.GELU())
