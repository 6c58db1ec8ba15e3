"""The patch model's poses as a latent of their own: a short vector found without labels."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.patch import PatchConfig, PatchWorldModel
from grasp_bench.models.redraw import POSE_SIZE
from grasp_bench.models.vision import flat_tokens


class PoseWorldModel(LatentWorldModel):
    """A world model whose visual features are a place and a direction, read from tokens.

    A `PatchWorldModel` without its detour: where that one draws tokens and reads them again at
    every step, this one moves the pose, and draws for looking only. No label enters.

    Attributes:
        encoder: pictures to tokens.
        reader: standardised tokens to poses.
        drawer: poses to standardised tokens.
        decoder: tokens to pictures.
    """

    kind: ClassVar[str] = "pose"
    token_mean: Tensor
    token_std: Tensor

    def __init__(self, config: PatchConfig, patch: PatchWorldModel | None = None) -> None:
        """Parts and statistics are those of `patch`, which keeps them; fresh ones without it."""
        super().__init__(config, POSE_SIZE)
        patch = patch or PatchWorldModel(config)
        self._grid = config.grid
        self.encoder, self.decoder = patch.encoder, patch.decoder
        self.reader, self.drawer = patch.predictor.reader, patch.predictor.drawer
        self.predictor = patch.predictor.dynamics
        self.register_buffer("token_mean", patch.visual_mean.clone())
        self.register_buffer("token_std", patch.visual_std.clone())
        self.visual_mean.copy_(patch.predictor.pose_mean)
        self.visual_std.copy_(patch.predictor.pose_std)
        for name in ("action_mean", "action_std", "proprio_mean", "proprio_std"):
            getattr(self, name).copy_(getattr(patch, name))

    def features(self, pixels: Tensor) -> Tensor:
        """Places and directions [B, 4]."""
        tokens = flat_tokens(self.encoder, pixels)
        poses: Tensor = self.reader((tokens - self.token_mean) / self.token_std)
        return poses

    def feature_statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """One scale for the place, one for the direction."""
        deviations = features.std(0)
        place, direction = deviations[:2].mean(), deviations[2:].mean()
        return features.mean(0), torch.stack([place, place, direction, direction])

    def decode(self, state: Tensor) -> Tensor:
        """Pictures [B, S, S, 3] uint8 of latents [B, D]."""
        visual, proprio = state.tensor_split([POSE_SIZE], dim=-1)
        tokens = self.drawer(visual * self.visual_std + self.visual_mean, proprio[:, :2])
        return self.decoder.pixels(tokens * self.token_std + self.token_mean, self._grid)
