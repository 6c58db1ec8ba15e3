"""The patch world model: a grid of visual tokens, as in DINO-WM, beside proprioception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from grasp_bench.models.latent import LatentConfig, LatentWorldModel
from grasp_bench.models.patch_encoder import (
    CELL,
    DinoConfig,
    DinoEncoder,
    PatchDecoder,
    PatchEncoder,
    flat_tokens,
)
from grasp_bench.models.redraw import RedrawPredictor


@dataclass(frozen=True)
class PatchConfig(LatentConfig):
    """Holds the architecture of a `PatchWorldModel`.

    Attributes:
        channels: C, numbers per token.
        dinov2: the configuration of a DINOv2 encoder (transformers' `Dinov2Config`) that
            replaces the `PatchEncoder`; None for a `PatchEncoder`.
        encoder_width: channels of the encoder's and the decoder's convolutions.
        encoder_blocks: residual blocks of the encoder.
        token_width: hidden width of the predictor's networks that read and draw tokens.
        width: hidden width of its residual MLP on poses.
        blocks: its residual blocks.
    """

    channels: int = 16
    dinov2: DinoConfig | None = None
    encoder_width: int = 96
    encoder_blocks: int = 3
    token_width: int = 128
    width: int = 256
    blocks: int = 4

    def __post_init__(self) -> None:
        if self.cell < 1 or self.image_size % self.cell:
            raise ValueError(
                f"pictures of {self.image_size} px do not divide into {self.cell} px cells"
            )
        if self.dinov2 is not None and self.channels != self.dinov2["hidden_size"]:
            raise ValueError(f"DINOv2 gives {self.dinov2['hidden_size']} channels")

    @property
    def cell(self) -> int:
        """Returns the width in pixels of the cell that a token describes."""
        return CELL if self.dinov2 is None else self.dinov2["patch_size"]

    @property
    def grid(self) -> int:
        """Returns G, the tokens along a side."""
        return self.image_size // self.cell


class PatchWorldModel(LatentWorldModel):
    """Predicts latents whose visual features are G x G tokens of C numbers, cell by cell."""

    kind: ClassVar[str] = "patch"
    predictor: RedrawPredictor
    feature_dtype: ClassVar[torch.dtype] = torch.float16

    def __init__(self, config: PatchConfig) -> None:
        super().__init__(config, config.grid**2 * config.channels)
        self.config: PatchConfig = config
        self.grid_shape = (config.grid, config.grid, config.channels)
        self.encoder: nn.Module = (
            PatchEncoder(config.channels, config.encoder_width, config.encoder_blocks)
            if config.dinov2 is None
            else DinoEncoder(config.dinov2)
        )
        self.predictor = RedrawPredictor(
            grid=config.grid,
            channels=config.channels,
            action=self.action_dim,
            token_width=config.token_width,
            width=config.width,
            blocks=config.blocks,
        )
        self.decoder = PatchDecoder(config.channels, config.encoder_width, cell=config.cell)

    def features(self, pixels: Tensor) -> Tensor:
        """Returns tokens [B, G * G * C], cell by cell, row by row."""
        return flat_tokens(self.encoder, pixels)

    def feature_statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean and deviation of each channel over all cells."""
        cells = features.reshape(-1, self.grid_shape[-1])
        times = self.grid_shape[0] * self.grid_shape[1]
        return cells.mean(0).repeat(times), cells.std(0).repeat(times)

    def tokens(self, state: Tensor) -> Tensor:
        """Returns the visual part of latents [..., D] as tokens [..., G * G, C]."""
        visual = state[..., : self.visual_dim]
        return visual.reshape(*state.shape[:-1], -1, self.grid_shape[-1])

    def summary(self, state: Tensor) -> Tensor:
        """Returns the pose that the predictor reads, and proprioception, [..., 8]."""
        return self.predictor.read(state)

    def decode(self, state: Tensor) -> Tensor:
        """Draws pictures [B, S, S, 3] uint8 of latents [B, D], without the proprioceptive part."""
        visual = state[:, : self.visual_dim] * self.visual_std + self.visual_mean
        return self.decoder.pixels(visual, self.config.grid)
