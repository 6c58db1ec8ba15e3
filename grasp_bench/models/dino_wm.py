"""The DINO-WM architecture: tokens of a frozen encoder, predicted from up to three frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from grasp_bench.core.types import ActivationBytes, Observation, View
from grasp_bench.models.frame_transformer import Blocks, FrameTransformer
from grasp_bench.models.latent import PROPRIO_DIM, FrameskipModel
from grasp_bench.models.patch_encoder import DinoConfig, DinoEncoder, PatchEncoder

_LARGEST_SIDE, _MOST_FRAMES = 32, 4
_LARGEST_PICTURE = 1024  # px; no tensor's shape tells how large pictures are


@dataclass(frozen=True, kw_only=True)
class DinoWMConfig:
    """Holds the architecture of a `DinoWM`; the defaults are the published Push-T model's.

    Attributes:
        side: tokens along a side of the picture.
        features: F, width of the encoder's tokens.
        action_embedding, proprio_embedding: numbers that stand beside every token.
        frames: the most that the predictor was trained on.
        context: frames that a rollout remembers, 1 to `frames`.
        depth, heads, head_width, hidden: of the predictor.
        frameskip: environment steps per model step.
        image_size: px of the pictures that the environment draws.
        encoder_size: px that they are resized to for the encoder.
        style: of the pictures.
        dinov2: what `transformers.Dinov2Config` takes; None for a `PatchEncoder`.
        encoder_width, encoder_blocks: of a `PatchEncoder`.
    """

    side: int = 14
    features: int = 384
    action_embedding: int = 10
    proprio_embedding: int = 10
    frames: int = 3
    context: int = 3
    depth: int = 6
    heads: int = 16
    head_width: int = 64
    hidden: int = 2048
    frameskip: int = 5
    image_size: int = 224
    encoder_size: int = 196
    style: str = "pygame"
    dinov2: DinoConfig | None = None
    encoder_width: int = 96
    encoder_blocks: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.context <= self.frames:
            raise ValueError(f"context is {self.context}, not 1 to {self.frames}")
        # Who attends to whom is made anew, not read from a file.
        if not 1 <= self.side <= _LARGEST_SIDE or self.frames > _MOST_FRAMES:
            raise ValueError(
                f"{self.frames} frames of {self.side} x {self.side} tokens are none or too many"
            )
        if max(self.image_size, self.encoder_size) > _LARGEST_PICTURE:
            raise ValueError(f"pictures of more than {_LARGEST_PICTURE} px are too large")


class DinoWM(FrameskipModel):
    """Predicts a frame's tokens from those of up to three frames and the actions between.

    A latent holds P tokens of the encoder, each with the embedded proprioception beside it:
    Z = (P, F + E). The embedded action joins for the prediction. The goal cost is the mean
    squared error of the features plus α times that of the embedded proprioception, which is
    read off the first token (DINO-WM, arXiv 2411.04983; α = 1 there).

    Attributes:
        kind: the architecture's name in a checkpoint's card.
        feature_dtype: the type that features are stored in between stages of training.
        context: frames that `step_in_context` takes at most.
    """  # noqa: RUF002

    kind: ClassVar[str] = "dino-wm"
    feature_dtype: ClassVar[torch.dtype] = torch.float16
    proprio_mean: Tensor
    proprio_std: Tensor

    def __init__(self, config: DinoWMConfig) -> None:
        super().__init__(config.frameskip)
        self.config, self.context = config, config.context
        self.view = View(config.image_size, config.style)
        tokens, observed = config.side**2, config.features + config.proprio_embedding
        self.latent_shape: tuple[int, ...] = (tokens, observed)
        self.encoder: nn.Module
        if config.dinov2 is None:
            self.encoder = PatchEncoder(
                config.features,
                config.encoder_width,
                config.encoder_blocks,
                normed=True,
                cell=config.encoder_size // config.side,
            )
        else:
            self.encoder = DinoEncoder(config.dinov2)
        self.embed_action = nn.Linear(self.action_dim, config.action_embedding)
        self.embed_proprio = nn.Linear(PROPRIO_DIM, config.proprio_embedding)
        self.predictor = FrameTransformer(
            tokens,
            config.frames,
            observed + config.action_embedding,
            config.depth,
            config.heads,
            config.head_width,
            config.hidden,
        )
        self.register_buffer("proprio_mean", torch.zeros(PROPRIO_DIM))
        self.register_buffer("proprio_std", torch.ones(PROPRIO_DIM))

    def encode(self, observation: Observation) -> Tensor:
        """Returns latents [B, P, F + E] of B observations."""
        device = self.proprio_mean.device
        features = self.features(observation.pixels.to(device))
        return self.latent(features, observation.proprio.to(device))

    def features(self, pixels: Tensor) -> Tensor:
        """Returns the encoder's tokens [B, P, F] of pictures [B, S, S, 3] uint8."""
        # The encoders take pictures that map [0, 1] to [2, 0].
        picture = 2.0 - pixels.permute(0, 3, 1, 2).float() * (2.0 / 255.0)
        size = self.config.encoder_size
        if picture.shape[-1] != size:
            picture = nn.functional.interpolate(
                picture, (size, size), mode="bilinear", align_corners=False, antialias=True
            )
        tokens: Tensor = self.encoder(picture)
        return tokens.flatten(2).transpose(1, 2)

    def latent(self, features: Tensor, proprio: Tensor) -> Tensor:
        """Joins tokens [B, P, F] and proprioception [B, 4], which is standardised and embedded."""
        embedded = self.embed_proprio((proprio - self.proprio_mean) / self.proprio_std)
        return torch.cat([features, embedded[:, None].expand(*features.shape[:2], -1)], dim=-1)

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        """Returns F(s, a) [..., P, F + E] of one frame, of any leading dimensions."""
        return self.step_in_context(state[..., None, :, :], action[..., None, :])

    def step_in_context(self, states: Tensor, actions: Tensor) -> Tensor:
        """Returns the state [..., P, F + E] after n of them and their actions, as `successors`."""
        return self.successors(states, actions)[..., -1, :, :]

    def successors(self, states: Tensor, actions: Tensor) -> Tensor:
        """Returns the state after each of n, [..., n, P, F + E]; none depends on later frames.

        Args:
            states: [..., n, P, F + E], the last one last.
            actions: [..., n, A] normalised, taken in each of them.
        """
        leading = torch.broadcast_tensors(states[..., 0, 0], actions[..., 0])[0].shape  # type: ignore[no-untyped-call]
        embedded = self.embed_action(actions)[..., None, :]
        frames = torch.cat(
            [
                states.expand(*leading, *self.latent_shape),
                embedded.expand(*leading, self.latent_shape[0], -1),
            ],
            dim=-1,
        )
        rows = frames.reshape(math.prod(leading[:-1]), *frames.shape[-3:])
        following: Tensor = self.predictor(rows)[..., : self.latent_shape[1]]
        return following.reshape(*leading, *self.latent_shape)

    @property
    def blocks(self) -> Blocks:
        """Returns the transformer blocks that a step passes through."""
        return self.predictor.blocks

    def activation_bytes(self, frames: int) -> ActivationBytes:
        """Returns what a transition that sees so many frames takes."""
        return self.blocks.activation_bytes(frames * self.latent_shape[0])

    def distance(self, state: Tensor, goal: Tensor) -> Tensor:
        """Returns the mean squared error of the features plus that of all tokens' rest, [...]."""
        errors, cut = (state - goal).square(), self.config.features
        return errors[..., :cut].mean((-2, -1)) + errors[..., cut:].mean((-2, -1))

    def goal_distance(self, state: Tensor, goal: Tensor, proprio_weight: float) -> Tensor:
        """Returns the published objective [...]: of the proprioception, the first token counts."""
        errors, cut = (state - goal).square(), self.config.features
        visual: Tensor = errors[..., :cut].mean((-2, -1))
        return visual + proprio_weight * errors[..., 0, cut:].mean(-1)

    def tokens(self, state: Tensor) -> Tensor:
        """Returns the tokens [..., P, F + E] of latents, which are these."""
        return state
