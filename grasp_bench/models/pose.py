"""The pose world model: the patch model's poses, found without labels, as its latent."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.patch import PatchConfig, PatchWorldModel
from grasp_bench.models.patch_encoder import flat_tokens
from grasp_bench.models.redraw import POSE_SIZE


class PoseWorldModel(LatentWorldModel):
    """Predicts latents whose visual features are a place and a direction, read from tokens.

    A `PatchWorldModel` draws tokens and reads them again at every step. This model moves the
    pose alone; it draws only for people to look at. No label enters its training.

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
        """Shares the parts of `patch` and copies its statistics; makes new ones without it."""
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
        return self.decoder.pixels(tokens * self.token_std + self.token_mean, self._grid)
