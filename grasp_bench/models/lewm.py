"""The LeWM architecture: one vector a frame, predicted from up to three frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from grasp_bench.core.types import ActivationBytes, Observation, View
from grasp_bench.models.frame_transformer import FLOAT32_BYTES, Attention, Blocks
from grasp_bench.models.latent import FrameskipModel
from grasp_bench.models.layers import Linear
from grasp_bench.models.vit import ViT, ViTConfig

_PIXEL_MEAN, _PIXEL_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_MOST_FRAMES = 64


@dataclass(frozen=True, kw_only=True)
class LeWMConfig:
    """Holds the architecture of a `LeWM`; the defaults are the published Push-T model's.

    Attributes:
        vit: of the encoder.
        width: D, of a latent.
        frames: the most that the predictor was trained on.
        context: frames that a rollout remembers, 1 to `frames`.
        depth, heads, head_width, hidden: of the predictor.
        smoothed: numbers that an action is read as first.
        action_hidden: width inside the embedding of actions.
        projection: width inside the two projections.
        frameskip: environment steps per model step.
        style: of the pictures.
    """

    vit: ViTConfig = field(default_factory=ViTConfig)
    width: int = 192
    frames: int = 3
    context: int = 3
    depth: int = 6
    heads: int = 16
    head_width: int = 64
    hidden: int = 2048
    smoothed: int = 10
    action_hidden: int = 768
    projection: int = 2048
    frameskip: int = 5
    style: str = "pygame"

    def __post_init__(self) -> None:
        if not 1 <= self.context <= self.frames <= _MOST_FRAMES:
            raise ValueError(f"context is {self.context}, not 1 to {self.frames}")


class LeWM(FrameskipModel):
    """Predicts a frame's vector from those of up to three frames and the actions between.

    A latent is the projected class token of a ViT, Z = (D,); nothing is known of the agent
    beside the picture. The predictor is a causal transformer whose blocks the actions modulate
    (AdaLN-zero). Distances are sums of squares, as the goal cost of the published code
    (stable-worldmodel) is.

    Attributes:
        kind: the architecture's name in a checkpoint's card.
        context: frames that `step_in_context` takes at most.
    """

    kind: ClassVar[str] = "lewm"
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: LeWMConfig) -> None:
        super().__init__(config.frameskip)
        self.config, self.context = config, config.context
        self.view = View(config.vit.image_size, config.style)
        width = config.width
        self.latent_shape: tuple[int, ...] = (width,)
        self.encoder = ViT(config.vit)
        self.project = _projection(config.vit.width, config.projection, width)
        self.smooth_action = nn.Linear(self.action_dim, config.smoothed)
        self.embed_action = nn.Sequential(
            nn.Linear(config.smoothed, config.action_hidden),
            nn.SiLU(),
            nn.Linear(config.action_hidden, width),
        )
        self.place = nn.Parameter(0.02 * torch.randn(config.frames, width))
        self.blocks = Blocks(
            ModulatedBlock(width, config.heads, config.head_width, config.hidden)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width)
        self.project_prediction = _projection(width, config.projection, width)
        self.register_buffer("pixel_mean", torch.tensor(_PIXEL_MEAN), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(_PIXEL_STD), persistent=False)

    def encode(self, observation: Observation) -> Tensor:
        """Returns latents [B, D] of B observations."""
        pixels = observation.pixels.to(self.pixel_mean.device).float() / 255.0
        picture = ((pixels - self.pixel_mean) / self.pixel_std).permute(0, 3, 1, 2)
        latent: Tensor = self.project(self.encoder(picture))
        return latent

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        """Returns F(s, a) [..., D] of one frame, of any leading dimensions."""
        return self.step_in_context(state[..., None, :], action[..., None, :])

    def step_in_context(self, states: Tensor, actions: Tensor) -> Tensor:
        """Returns the state [..., D] after n of them [..., n, D] and their actions [..., n, A]."""
        embedded = self.embed_action(self.smooth_action(actions))
        rows, conditions = torch.broadcast_tensors(states, embedded)  # type: ignore[no-untyped-call]
        leading, count = rows.shape[:-2], rows.shape[-2]
        rows = rows.reshape(math.prod(leading), count, -1) + self.place[:count]
        conditions = conditions.reshape(rows.shape)
        rows = self.blocks(rows, conditions)
        following: Tensor = self.project_prediction(self.norm(rows[:, -1]))
        return following.reshape(*leading, -1)

    def activation_bytes(self, frames: int) -> ActivationBytes:
        """Returns what a transition that sees so many frames takes."""
        return self.blocks.activation_bytes(frames)

    def distance(self, state: Tensor, goal: Tensor) -> Tensor:
        """Returns the sum of squared differences [...] of latents [..., D]."""
        return (state - goal).square().sum(-1)


class ModulatedBlock(nn.Module):
    """Attends to earlier rows and then thinks; a condition scales, shifts and gates both."""

    def __init__(self, width: int, heads: int, head_width: int, hidden: int) -> None:
        super().__init__()
        self.width, self.inside, self.hidden = width, heads * head_width, hidden
        self.attention = Attention(width, heads, head_width, dropout=0.0)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), Linear(width, hidden), nn.GELU(), Linear(hidden, width)
        )
        self.modulate = nn.Sequential(nn.SiLU(), Linear(width, 6 * width))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)

    def forward(self, rows: Tensor, condition: Tensor) -> Tensor:
        """Maps rows [R, n, D] under conditions [R, n, D] to [R, n, D]."""
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self.modulate(condition).chunk(6, -1)
        seen = self.norm(rows) * (1 + scale) + shift
        rows = rows + gate * self.attention(seen, None, causal=True)
        seen = self.norm(rows) * (1 + scale_mlp) + shift_mlp
        thought: Tensor = rows + gate_mlp * self.mlp(seen)
        return thought

    def bytes_per_token(self) -> tuple[int, int]:
        """Returns what a token takes until its gradient is taken, and in passing.

        Of the rows, each half keeps four forms: as they come, normed, scaled and shifted; then
        what is gated. The condition's six parts are kept, and what a `Block` keeps.
        """
        own, rows = self.attention.read.weight.itemsize, 2 * FLOAT32_BYTES * self.width
        kept = 5 * rows + own * (6 * self.width + 4 * self.inside + self.hidden)
        return kept, 3 * rows + own * max(6 * self.inside, 2 * self.hidden)


class Standardise(nn.Module):
    """Is batch normalisation once it is trained: fixed means and variances, scale and shift."""

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, rows: Tensor) -> Tensor:
        """Maps rows [R, W] to [R, W]."""
        return (rows - self.mean) * (self.variance + 1e-5).rsqrt() * self.scale + self.shift


def _projection(inputs: int, hidden: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, hidden), Standardise(hidden), nn.GELU(), nn.Linear(hidden, outputs)
    )
