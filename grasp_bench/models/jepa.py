"""The self-supervised vector latent: pooled patch tokens, learned by joint embedding."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grasp_bench.models.encoder import as_input
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.residual import ResidualPredictor
from grasp_bench.models.vision import CELL, PatchEncoder


@dataclass(frozen=True)
class JepaConfig:
    """The architecture of a `JepaWorldModel`.

    Attributes:
        features: V, width of the visual latent.
        channels, encoder_width, encoder_blocks: of the patch encoder.
        votes: K, points the pooling head reads.
        head_width: hidden width of the pooling head.
        width: hidden width of the predictor's residual blocks.
        blocks: number of residual blocks.
        frameskip: environment steps per model step.
        image_size: width of the pictures the encoder takes.
    """

    features: int = 8
    channels: int = 16
    encoder_width: int = 96
    encoder_blocks: int = 3
    votes: int = 8
    head_width: int = 128
    width: int = 256
    blocks: int = 4
    frameskip: int = 5
    image_size: int = 64

    def to_json(self) -> dict[str, Any]:
        """Plain data for the checkpoint's card."""
        return asdict(self)


class PoolingHead(nn.Module):
    """V features of a set of tokens: where they vote that things are, read by an MLP.

    One MLP, shared by all tokens, gives each a weight and an offset for every one of K
    points; a point is the weighted mean of place plus offset. Features are functions of the
    points, so they begin as functions of where things are. With `context` 3 a token's
    eight neighbours are inputs of the MLP as well.
    """

    token_mean: Tensor
    token_std: Tensor
    places: Tensor

    def __init__(
        self, channels: int, cells: int, votes: int, width: int, features: int, context: int = 1
    ) -> None:
        super().__init__()
        self.cells, self.votes = cells, votes
        self.each = nn.Sequential(
            nn.Conv2d(channels, width, context, padding=context // 2),
            nn.SiLU(),
            nn.Conv2d(width, width, 1),
            nn.SiLU(),
            nn.Conv2d(width, 3 * votes, 1),
        )
        self.direct = nn.Linear(2 * votes, features)
        self.whole = nn.Sequential(
            nn.Linear(2 * votes, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, features),
        )
        centres = (torch.arange(cells) + 0.5) * (2 / cells) - 1
        rows, columns = torch.meshgrid(centres, centres, indexing="ij")
        places = torch.stack([columns, rows], -1).reshape(-1, 1, 2)
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("token_mean", torch.zeros(channels))
        self.register_buffer("token_std", torch.ones(channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """Features [..., V] of tokens [..., G * G, C]."""
        standard = (tokens - self.token_mean) / self.token_std
        grids = standard.reshape(-1, self.cells, self.cells, standard.shape[-1])
        cast = self.each(grids.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        cast = cast.reshape(*tokens.shape[:-1], self.votes, 3)
        weights = cast[..., :1].softmax(dim=-3)
        points = (weights * (self.places + cast[..., 1:])).sum(-3).flatten(-2) * 2
        features: Tensor = self.direct(points) + self.whole(points)
        return features


class JepaWorldModel(LatentWorldModel):
    """A world model whose visual features are pooled from frozen patch tokens."""

    kind = "jepa"

    def __init__(self, config: JepaConfig) -> None:
        super().__init__(config, config.features)
        self.encoder = PatchEncoder(config.channels, config.encoder_width, config.encoder_blocks)
        cells = config.image_size // CELL
        self.head = PoolingHead(
            config.channels, cells, config.votes, config.head_width, config.features
        )
        self.predictor = ResidualPredictor(
            self.latent_shape[0], self.action_dim, config.width, config.blocks
        )

    def features(self, pixels: Tensor) -> Tensor:
        """The head's features [B, V]."""
        features: Tensor = self.head(self.patch_tokens(pixels))
        return features

    def patch_tokens(self, pixels: Tensor) -> Tensor:
        """The encoder's tokens [B, G * G, C]."""
        tokens: Tensor = self.encoder(as_input(pixels))
        return tokens.permute(0, 2, 3, 1).flatten(1, 2)

    def feature_statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each feature."""
        return features.mean(0), features.std(0)
