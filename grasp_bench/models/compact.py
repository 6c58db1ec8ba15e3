"""The compact world model: keypoints of the picture, proprioception, a residual MLP."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from envs.pusht import WORKSPACE
from grasp_bench.models.encoder import IMAGE_SIZE, KeypointEncoder
from grasp_bench.models.ensemble import ensemble_of
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.residual import ResidualPredictor

DECODER_SCALE = 64.0  # px; brings the decoder's inputs near one


@dataclass(frozen=True)
class CompactConfig:
    """The architecture of a `CompactWorldModel`.

    Attributes:
        keypoints: K, points the encoder reads; the visual latent is 2 K wide.
        encoder_channels: width of the convolutional encoder.
        width: hidden width of the predictor's residual blocks.
        blocks: number of residual blocks.
        ensemble: predictors whose mean answers.
        frameskip: environment steps per model step.
        image_size: width of the pictures the encoder takes.
        decoder_width: hidden width of the decoder.
    """

    keypoints: int = 5
    encoder_channels: int = 64
    width: int = 256
    blocks: int = 4
    frameskip: int = 5
    image_size: int = 64
    decoder_width: int = 96
    ensemble: int = 1

    def __post_init__(self) -> None:
        if self.image_size != IMAGE_SIZE:
            raise ValueError(f"the encoder takes {IMAGE_SIZE} px pictures, not {self.image_size}")

    def to_json(self) -> dict[str, Any]:
        """Plain data for the checkpoint's card."""
        return asdict(self)


class PictureDecoder(nn.Module):
    """Pictures of keypoints, for looking at virtual states only.

    Every pixel is coloured by itself, from its offsets and distances to the keypoints, so
    that a picture is as sharp as the points are certain.
    """

    def __init__(self, keypoints: int, width: int) -> None:
        super().__init__()
        self.colour = nn.Sequential(
            nn.Linear(3 * keypoints, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, 3),
        )

    def forward(self, keypoints: Tensor, places: Tensor) -> Tensor:
        """Colours [B, P, 3] around [0, 1] at places [B or 1, P, 2] of pictures of [B, K, 2].

        Keypoints and places in px of the workspace.
        """
        offsets = (places[:, :, None] - keypoints[:, None]) / DECODER_SCALE
        distances = (offsets.square().sum(-1) + 1e-6).sqrt()
        colour: Tensor = self.colour(torch.cat([offsets.flatten(-2), distances], dim=-1))
        return colour


class CompactWorldModel(LatentWorldModel):
    """A world model whose visual features are the encoder's 2 K keypoint coordinates, in px."""

    kind = "compact"

    def __init__(self, config: CompactConfig) -> None:
        super().__init__(config, 2 * config.keypoints)
        self.encoder = KeypointEncoder(config.keypoints, config.encoder_channels)
        self.predictor = ensemble_of(
            config.ensemble,
            lambda: ResidualPredictor(
                self.latent_shape[0], self.action_dim, config.width, config.blocks
            ),
        )
        self.decoder = PictureDecoder(config.keypoints, config.decoder_width)

    def features(self, pixels: Tensor) -> Tensor:
        """Keypoints [B, 2 K] in px of the workspace, point by point."""
        points: Tensor = self.encoder(pixels)[0]
        return ((points + 1.0) * (WORKSPACE / 2)).flatten(-2)

    def feature_statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """One scale for all coordinates, so that the latent keeps the picture's geometry."""
        return features.mean(0), features.std(0).mean()

    def decode(self, state: Tensor) -> Tensor:
        """Pictures [B, S, S, 3] uint8 of latents [B, D]; proprioception is not drawn."""
        size = self.image_size
        visual = state[:, : self.visual_dim] * self.visual_std + self.visual_mean
        keypoints = visual.reshape(len(state), -1, 2)
        picture: Tensor = self.decoder(keypoints, pixel_centres(size).to(state))
        return (picture.clamp(0, 1) * 255).round().to(torch.uint8).reshape(-1, size, size, 3)


def pixel_centres(size: int) -> Tensor:
    """Where the pixels of a picture lie in the workspace, [1, size * size, 2] px, row by row."""
    centres = (torch.arange(size) + 0.5) * (WORKSPACE / size)
    rows, columns = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([columns, rows], dim=-1).reshape(1, -1, 2)
