"""Holds what all shipped world models share: z = (visual features, proprioception)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from grasp_bench.core.types import ActionPrior, Observation, StateProbe, View

ENV_ACTION_DIM = 2  # numbers of an environment action: the agent's target, x and y
PROPRIO_DIM = 4  # numbers of proprioception: agent x, y, vx, vy


@dataclass(frozen=True, kw_only=True)
class LatentConfig:
    """Holds what the architectures of all latent world models name.

    Attributes:
        frameskip: environment steps per model step.
        image_size: width in pixels of the pictures that the encoder takes.
    """

    frameskip: int = 5
    image_size: int = 64


class FrameskipModel(nn.Module):
    """Takes the environment actions of a model step stacked and standardised.

    Attributes:
        frameskip: environment steps per model step.
        action_dim: A, numbers of a model action.
        prior, probe: attached, no part of the model's weights, or None.
        rough: a copy that computes faster and less exactly, or None.
    """

    rough: FrameskipModel | None
    action_mean: Tensor
    action_std: Tensor

    def __init__(self, frameskip: int) -> None:
        super().__init__()
        self.prior: ActionPrior | None = None
        self.probe: StateProbe | None = None
        self.rough = None
        self.frameskip = frameskip
        self.action_dim = frameskip * ENV_ACTION_DIM
        self.register_buffer("action_mean", torch.zeros(ENV_ACTION_DIM))
        self.register_buffer("action_std", torch.ones(ENV_ACTION_DIM))

    def normalise_actions(self, actions: Tensor) -> Tensor:
        """Turns environment actions [..., T * frameskip, 2] into model actions [..., T, A]."""
        scaled = (actions - self.action_mean) / self.action_std
        return scaled.reshape(*actions.shape[:-2], -1, self.action_dim)

    def denormalise_actions(self, actions: Tensor) -> Tensor:
        """Turns model actions [..., T, A] into environment actions [..., T * frameskip, 2]."""
        unstacked = actions.reshape(*actions.shape[:-2], -1, ENV_ACTION_DIM)
        return unstacked * self.action_std + self.action_mean


class _SquaredDistance(torch.autograd.Function):
    """Computes `LatentWorldModel.distance` and its derivative in few operations."""

    @staticmethod
    def forward(ctx: Any, state: Tensor, goal: Tensor, weights: Tensor) -> Tensor:
        error = state - goal
        ctx.error, ctx.weights, ctx.shapes = error, weights, (state.shape, goal.shape)
        return (error * error) @ weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        slope = (ctx.error * ctx.weights).mul_((gradient + gradient)[..., None])
        by_state = slope.sum_to_size(ctx.shapes[0]) if ctx.needs_input_grad[0] else None
        by_goal = slope.sum_to_size(ctx.shapes[1]).neg() if ctx.needs_input_grad[1] else None
        return by_state, by_goal, None


class LatentWorldModel(FrameskipModel, ABC):
    """Encodes and predicts visual features of a picture beside proprioception.

    A latent is z = (V visual features, agent x, y, vx, vy), all standardised. The goal cost
    is the mean squared error of the visual part plus that of the proprioceptive part, as in
    DINO-WM. Subclasses define the features.

    Attributes:
        kind: the architecture's name in a checkpoint's card.
        view: pictures of `config.image_size` pixels.
        feature_dtype: the type that features are stored in between stages of training.
        predictor: F(z, a) on [..., D] and [..., A].
        visual_dim: V.
    """

    kind: ClassVar[str]
    feature_dtype: ClassVar[torch.dtype] = torch.float32
    view: View
    predictor: nn.Module
    visual_mean: Tensor
    visual_std: Tensor
    proprio_mean: Tensor
    proprio_std: Tensor
    part_weights: Tensor

    def __init__(self, config: LatentConfig, visual_dim: int) -> None:
        super().__init__(config.frameskip)
        self.config = config
        self.view = View(config.image_size)
        self.visual_dim = visual_dim
        self.latent_shape: tuple[int, ...] = (visual_dim + PROPRIO_DIM,)
        for name, width in (("visual", visual_dim), ("proprio", PROPRIO_DIM)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_std", torch.ones(width))
        weights = torch.full((visual_dim + PROPRIO_DIM,), 1 / PROPRIO_DIM)
        weights[:visual_dim] = 1 / visual_dim
        self.register_buffer("part_weights", weights, persistent=False)

    @abstractmethod
    def features(self, pixels: Tensor) -> Tensor:
        """Returns visual features [B, V], not standardised, of pictures [B, S, S, 3] uint8."""

    @abstractmethod
    def feature_statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean [V] and scale, [V] or one number, that standardise features [N, V]."""

    def encode(self, observation: Observation) -> Tensor:
        """Returns latents [B, D] of B observations."""
        device = self.visual_mean.device
        features = self.features(observation.pixels.to(device))
        return self.latent(features, observation.proprio.to(device))

    def latent(self, features: Tensor, proprio: Tensor) -> Tensor:
        """Standardises features [..., V] and proprioception [..., 4] to latents [..., D]."""
        visual = (features - self.visual_mean) / self.visual_std
        return torch.cat([visual, (proprio - self.proprio_mean) / self.proprio_std], dim=-1)

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        """Returns F(s, a) [..., D] of latents [..., D] and normalised actions [..., A]."""
        following: Tensor = self.predictor(state, action)
        return following

    def distance(self, state: Tensor, goal: Tensor) -> Tensor:
        """Returns the mean squared visual plus the mean squared proprioceptive error, [...]."""
        return self.goal_distance(state, goal, 1.0)

    def goal_distance(self, state: Tensor, goal: Tensor, proprio_weight: float) -> Tensor:
        """Returns `distance` with the proprioceptive part times its weight, [...]."""
        weights = self.part_weights
        if proprio_weight != 1.0:
            weights = weights.clone()
            weights[self.visual_dim :] *= proprio_weight
        split: Tensor = _SquaredDistance.apply(state, goal, weights)  # type: ignore[no-untyped-call]
        return split

    def mean_parts(self, errors: Tensor) -> Tensor:
        """Averages errors [..., D] over each of the two parts and adds these means, [...]."""
        return errors @ self.part_weights
