"""What the stages before there is a pose train on: pictures as standardised tokens."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.patch_encoder import flat_tokens
from grasp_bench.models.pose import PoseWorldModel


class TokenModel(LatentWorldModel):
    """Encodes pictures as the tokens that a pose model reads; it predicts nothing.

    It shares the pose model's encoder. Its statistics are those of tokens.
    """

    kind: ClassVar[str] = "tokens"
    feature_dtype: ClassVar[torch.dtype] = torch.float16

    def __init__(self, pose: PoseWorldModel) -> None:
        super().__init__(pose.config, len(pose.token_mean))
        self.encoder, self._channels = pose.encoder, pose.config.channels

    def features(self, pixels: Tensor) -> Tensor:
        """Returns tokens [B, G * G * C], cell by cell, row by row."""
        return flat_tokens(self.encoder, pixels)

    def feature_statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean and deviation of each channel over all cells."""
        cells = features.reshape(-1, self._channels)
        times = self.visual_dim // self._channels
        return cells.mean(0).repeat(times), cells.std(0).repeat(times)
