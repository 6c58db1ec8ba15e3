"""The pose world model: the block's pose, found without labels, as its latent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.models.latent import PROPRIO_DIM, LatentConfig, LatentWorldModel
from grasp_bench.models.patch_encoder import CELL, PatchDecoder, PatchEncoder, flat_tokens
from grasp_bench.models.residual import ResidualPredictor
from grasp_bench.models.token_codes import DIRECTION, POSE_SIZE, TokenDrawer, TokenReader


@dataclass(frozen=True)
class PoseConfig(LatentConfig):
    """Holds the architecture of a `PoseWorldModel`.

    Attributes:
        channels: C, numbers per token.
        encoder_width: channels of the encoder's and the decoder's convolutions.
        encoder_blocks: residual blocks of the encoder.
        token_width: hidden width of the networks that read and draw tokens.
        width: hidden width of the predictor.
        blocks: its residual blocks.
    """

    channels: int = 16
    encoder_width: int = 96
    encoder_blocks: int = 3
    token_width: int = 128
    width: int = 256
    blocks: int = 4

    def __post_init__(self) -> None:
        if self.image_size % CELL:
            raise ValueError(f"pictures of {self.image_size} px do not divide into {CELL} px cells")

    @property
    def grid(self) -> int:
        """Returns G, the tokens along a side."""
        return self.image_size // CELL


class PoseWorldModel(LatentWorldModel):
    """Predicts latents whose visual features are a place and a direction, read from tokens.

    It moves the pose alone, and draws only for people to look at. No label enters its training.

    Attributes:
        encoder: pictures to tokens.
        reader: standardised tokens to poses.
        drawer: poses to standardised tokens.
        decoder: tokens to pictures.
        token_mean, token_std: standardise tokens, [G * G * C].
    """

    kind: ClassVar[str] = "pose"
    token_mean: Tensor
    token_std: Tensor

    def __init__(self, config: PoseConfig) -> None:
        super().__init__(config, POSE_SIZE)
        self.config: PoseConfig = config
        self.encoder = PatchEncoder(config.channels, config.encoder_width, config.encoder_blocks)
        sizes = (config.grid, config.channels, DIRECTION, config.token_width)
        self.reader, self.drawer = TokenReader(*sizes), TokenDrawer(*sizes)
        self.predictor = ResidualPredictor(
            POSE_SIZE + PROPRIO_DIM, self.action_dim, config.width, config.blocks
        )
        self.decoder = PatchDecoder(config.channels, config.encoder_width)
        for name, fill in (("token_mean", torch.zeros), ("token_std", torch.ones)):
            self.register_buffer(name, fill(config.grid**2 * config.channels))

    def features(self, pixels: Tensor) -> Tensor:
        """Returns places and directions [B, 4]."""
        tokens = flat_tokens(self.encoder, pixels)
        poses: Tensor = self.reader((tokens - self.token_mean) / self.token_std)
        return poses

    def feature_statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean, one scale for the place and one for the direction."""
        deviations = features.std(0)
        place, direction = deviations[:2].mean(), deviations[2:].mean()
        return features.mean(0), torch.stack([place, place, direction, direction])

    def decode(self, state: Tensor) -> Tensor:
        """Draws pictures [B, S, S, 3] uint8 of latents [B, D]."""
        visual, proprio = state.tensor_split([POSE_SIZE], dim=-1)
        tokens = self.drawer(visual * self.visual_std + self.visual_mean, proprio[:, :2])
        return self.decoder.pixels(tokens * self.token_std + self.token_mean, self.config.grid)
