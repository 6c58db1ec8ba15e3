"""The compact world model: keypoints of the picture, proprioception, a residual MLP."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from grasp_bench.models.keypoint_encoder import IMAGE_SIZE, KeypointEncoder
from grasp_bench.models.latent import LatentConfig, LatentWorldModel
from grasp_bench.models.layers import as_input, cell_centres, mlp
from grasp_bench.models.residual import ResidualPredictor

WORKSPACE = 512.0  # px of the workspace that a picture spans, in each direction
DECODER_SCALE = 64.0  # px; brings the decoder's inputs near one


@dataclass(frozen=True)
class CompactConfig(LatentConfig):
    """Holds the architecture of a `CompactWorldModel`.

    Attributes:
        keypoints: K, points the encoder reads; the visual latent is 2 K wide.
        encoder_channels: width of the convolutional encoder.
        width: hidden width of the predictor's residual blocks.
        blocks: number of residual blocks.
        decoder_width: hidden width of the decoder.
    """

    keypoints: int = 5
    encoder_channels: int = 64
    width: int = 256
    blocks: int = 4
    decoder_width: int = 96

    def __post_init__(self) -> None:
        if self.image_size != IMAGE_SIZE:
            raise ValueError(f"the encoder takes {IMAGE_SIZE} px pictures, not {self.image_size}")


class PictureDecoder(nn.Module):
    """Draws pictures of keypoints, for people to look at; planning never uses it.

    An MLP colours every pixel by itself, from its offsets and distances to the keypoints.
    """

    def __init__(self, keypoints: int, width: int) -> None:
        super().__init__()
        self.colour = mlp(3 * keypoints, width, width, width, 3)

    def forward(self, keypoints: Tensor, places: Tensor) -> Tensor:
        """Returns colours [B, P, 3], about 0 to 1, at P places of each picture.

        Args:
            keypoints: [B, K, 2] px of the workspace.
            places: [B or 1, P, 2] px of the workspace.
        """
        offsets = (places[:, :, None] - keypoints[:, None]) / DECODER_SCALE
        distances = (offsets.square().sum(-1) + 1e-6).sqrt()
        colour: Tensor = self.colour(torch.cat([offsets.flatten(-2), distances], dim=-1))
        return colour


class CompactWorldModel(LatentWorldModel):
    """Predicts latents whose visual features are the coordinates of K keypoints, in px."""

    kind = "compact"

    def __init__(self, config: CompactConfig) -> None:
        super().__init__(config, 2 * config.keypoints)
        self.encoder = KeypointEncoder(config.keypoints, config.encoder_channels)
        self.predictor = ResidualPredictor(
            self.latent_shape[0], self.action_dim, config.width, config.blocks
        )
        self.decoder = PictureDecoder(config.keypoints, config.decoder_width)

    def features(self, pixels: Tensor) -> Tensor:
        """Returns keypoints [B, 2 K] in px of the workspace, point by point."""
        points: Tensor = self.encoder(as_input(pixels))
        return ((points + 1.0) * (WORKSPACE / 2)).flatten(-2)

    def feature_statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean, and one scale for all coordinates: the latent keeps the geometry."""
        return features.mean(0), features.std(0).mean()

    def decode(self, state: Tensor) -> Tensor:
        """Draws pictures [B, S, S, 3] uint8 of latents [B, D], without the proprioceptive part."""
        size = self.view.size
        visual = state[:, : self.visual_dim] * self.visual_std + self.visual_mean
        keypoints = visual.reshape(len(state), -1, 2)
        picture: Tensor = self.decoder(keypoints, pixel_centres(size).to(state))
        return (picture.clamp(0, 1) * 255).round().to(torch.uint8).reshape(-1, size, size, 3)


def pixel_centres(size: int) -> Tensor:
    """Returns the pixels' places in the workspace, [1, size * size, 2] px, row by row."""
    return (cell_centres(size)[None] + 1.0) * (WORKSPACE / 2)
