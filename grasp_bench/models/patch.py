"""The patch world model: a grid of visual tokens, as DINO-WM plans with, and proprioception."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from grasp_bench.models.encoder import as_input
from grasp_bench.models.latent import PROPRIO_DIM, LatentWorldModel
from grasp_bench.models.vision import (
    CELL,
    DinoEncoder,
    PatchDecoder,
    PatchEncoder,
    residual_block,
)

WAYPOINTS = 6  # where the predictor expects the agent within a model step, learned


def start_at_zero(layer: nn.Module) -> None:
    """Zero the weights of a residual branch's last layer, so that it begins as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


@dataclass(frozen=True)
class PatchConfig:
    """The architecture of a `PatchWorldModel`.

    Attributes:
        channels: C, numbers a token holds.
        dinov2: the configuration of a DINOv2 encoder (transformers' `Dinov2Config`), whose
            tokens are used instead of those of a `PatchEncoder`.
        encoder_width: channels of the encoder's and the decoder's convolutions.
        encoder_blocks: residual blocks of the encoder.
        width: channels of the predictor.
        blocks: residual blocks of the predictor.
        path_width: hidden width of the predictor's part for agent and action.
        summaries: heads of attention by which each block hears the whole picture.
        frameskip: environment steps per model step.
        image_size: width of the pictures the encoder takes.
    """

    channels: int = 16
    dinov2: dict[str, Any] | None = None
    encoder_width: int = 96
    encoder_blocks: int = 3
    width: int = 64
    blocks: int = 6
    path_width: int = 128
    summaries: int = 4
    frameskip: int = 5
    image_size: int = 64

    def __post_init__(self) -> None:
        if self.image_size % self.cell:
            raise ValueError(
                f"pictures of {self.image_size} px do not divide into {self.cell} px cells"
            )
        if self.dinov2 is not None and self.channels != self.dinov2["hidden_size"]:
            raise ValueError(f"DINOv2 gives {self.dinov2['hidden_size']} channels")

    @property
    def cell(self) -> int:
        """Width in pixels of what a token stands for."""
        return CELL if self.dinov2 is None else int(self.dinov2["patch_size"])

    @property
    def grid(self) -> int:
        """G: tokens along a side."""
        return self.image_size // self.cell

    def to_json(self) -> dict[str, Any]:
        """Plain data for the checkpoint's card."""
        return asdict(self)


class Summary(nn.Module):
    """What all tokens hear of the whole picture: attention pooling, then an MLP.

    The block is rigid: how far one of its tokens moves is decided where it is touched.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.Conv2d(width, heads, 1)
        self.answer = nn.Sequential(
            nn.Linear(heads * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )
        start_at_zero(self.answer[-1])

    def forward(self, features: Tensor) -> Tensor:
        """[N, width, G, G] to [N, width, 1, 1]."""
        weights = self.attention(features).flatten(2).softmax(-1)
        pooled = torch.einsum("nhc,nwc->nhw", weights, features.flatten(2))
        answer: Tensor = self.answer(pooled.flatten(1))
        return answer[:, :, None, None]


class GridPredictor(nn.Module):
    """F(z, a) = z + convolutions over the tokens, told where the agent goes.

    Proprioception and action pass an MLP that gives the next proprioception and some
    waypoints. Every token then hears how it lies to the waypoints, so that a push acts
    where the agent is and nowhere else, and after each block a `Summary` of all tokens.
    """

    cells: Tensor

    def __init__(self, config: PatchConfig, action: int) -> None:
        super().__init__()
        self.grid, self.channels = config.grid, config.channels
        self.agent = nn.Sequential(
            nn.Linear(PROPRIO_DIM + action, config.path_width),
            nn.SiLU(),
            nn.Linear(config.path_width, config.path_width),
            nn.SiLU(),
            nn.Linear(config.path_width, PROPRIO_DIM + 2 * WAYPOINTS),
        )
        self.place = nn.Sequential(
            nn.Linear(3 * WAYPOINTS + PROPRIO_DIM + action, config.path_width),
            nn.SiLU(),
            nn.Linear(config.path_width, config.width),
        )
        self.enter = nn.Conv2d(config.channels, config.width, 3, padding=1)
        self.blocks = nn.ModuleList(residual_block(config.width) for _ in range(config.blocks))
        self.summaries = nn.ModuleList(
            Summary(config.width, config.summaries) for _ in range(config.blocks)
        )
        self.leave = nn.Conv2d(config.width, config.channels, 1)
        start_at_zero(self.leave)
        # Cell centres in units of standardised positions: the picture spans about 2.5 of them
        # in each direction, which the waypoints can learn exactly.
        centres = ((torch.arange(config.grid) + 0.5) * (2 / config.grid) - 1) * 2.5
        rows, columns = torch.meshgrid(centres, centres, indexing="ij")
        self.register_buffer("cells", torch.stack([columns, rows], -1), persistent=False)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """The next latent [..., D]."""
        leading = state.shape[:-1]
        rows, moves = state.reshape(-1, state.shape[-1]), action.reshape(-1, action.shape[-1])
        visual, proprio = rows[:, :-PROPRIO_DIM], rows[:, -PROPRIO_DIM:]
        heard = torch.cat([proprio, moves], dim=-1)
        agent = self.agent(heard)
        # [N, D] holds tokens cell by cell, which as [N, C, G, G] is the channels-last order.
        tokens = visual.reshape(-1, self.grid, self.grid, self.channels).permute(0, 3, 1, 2)
        features = self.enter(tokens) + self._placed(proprio, agent[:, PROPRIO_DIM:], heard)
        for block, summary in zip(self.blocks, self.summaries, strict=True):
            features = features + block(features)
            features = features + summary(features)
        change = self.leave(features).permute(0, 2, 3, 1).reshape(visual.shape)
        following = torch.cat([visual + change, proprio + agent[:, :PROPRIO_DIM]], dim=-1)
        return following.reshape(*leading, -1)

    def _placed(self, proprio: Tensor, waypoints: Tensor, heard: Tensor) -> Tensor:
        # [N, width, G, G]: what a token hears of the agent's way past it.
        points = proprio[:, None, :2] + waypoints.reshape(len(proprio), WAYPOINTS, 2)
        offsets = self.cells[None, :, :, None] - points[:, None, None]
        nearness = torch.exp(-2 * offsets.square().sum(-1))
        inputs = torch.cat(
            [
                offsets.flatten(-2),
                nearness,
                heard[:, None, None].expand(-1, self.grid, self.grid, -1),
            ],
            dim=-1,
        )
        placed: Tensor = self.place(inputs).permute(0, 3, 1, 2)
        return placed


class PatchWorldModel(LatentWorldModel):
    """A world model whose visual features are G x G tokens of C numbers, cell by cell."""

    kind: ClassVar[str] = "patch"
    feature_dtype: ClassVar[torch.dtype] = torch.float16

    def __init__(self, config: PatchConfig) -> None:
        super().__init__(config, config.grid**2 * config.channels)
        self.grid_shape = (config.grid, config.grid, config.channels)
        self.encoder: nn.Module = (
            PatchEncoder(config.channels, config.encoder_width, config.encoder_blocks)
            if config.dinov2 is None
            else DinoEncoder(config.dinov2)
        )
        self.predictor = GridPredictor(config, self.action_dim)
        self.decoder = PatchDecoder(config.channels, config.encoder_width, cell=config.cell)

    def features(self, pixels: Tensor) -> Tensor:
        """Tokens [B, G * G * C], cell by cell, row by row."""
        tokens: Tensor = self.encoder(as_input(pixels))
        return tokens.permute(0, 2, 3, 1).flatten(1)

    def feature_statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each channel over all cells."""
        cells = features.reshape(-1, self.grid_shape[-1])
        times = self.grid_shape[0] * self.grid_shape[1]
        return cells.mean(0).repeat(times), cells.std(0).repeat(times)

    def tokens(self, state: Tensor) -> Tensor:
        """The visual part of latents [..., D] as tokens [..., G * G, C]."""
        visual = state[..., : self.visual_dim]
        return visual.reshape(*state.shape[:-1], -1, self.grid_shape[-1])

    def decode(self, state: Tensor) -> Tensor:
        """Pictures [B, S, S, 3] uint8 of latents [B, D]; proprioception is not drawn."""
        visual = state[:, : self.visual_dim] * self.visual_std + self.visual_mean
        picture: Tensor = self.decoder(visual.reshape(-1, *self.grid_shape).permute(0, 3, 1, 2))
        pixels = 255.0 - picture.permute(0, 2, 3, 1) * (255.0 / 2.0)
        return pixels.clamp(0, 255).round().to(torch.uint8)
