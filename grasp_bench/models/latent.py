"""What all shipped world models share: z = (visual features, proprioception), standardised."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from envs.pusht import ACTION_DIM
from grasp_bench.errors import UserError
from grasp_bench.models.ensemble import EnsemblePredictor
from grasp_bench.types import ActionPrior, Observation

PROPRIO_DIM = 4


class LatentConfig(Protocol):
    """The architecture of a latent world model, a frozen dataclass."""

    @property
    def frameskip(self) -> int:
        """Environment steps per model step."""
        ...

    @property
    def image_size(self) -> int:
        """Width of the pictures the encoder takes."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Plain data for the checkpoint's card."""
        ...


class _SquaredDistance(torch.autograd.Function):
    """`LatentWorldModel.distance`, with its derivative in as few operations as it takes."""

    @staticmethod
    def forward(ctx: Any, state: Tensor, goal: Tensor, model: LatentWorldModel) -> Tensor:
        ctx.error = error = state - goal
        ctx.shapes, ctx.part_sizes = (state.shape, goal.shape), model.part_sizes
        return model.mean_parts(error * error)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        slope = (ctx.error + ctx.error).mul_(gradient[..., None] / ctx.part_sizes)
        by_state = slope.sum_to_size(ctx.shapes[0]) if ctx.needs_input_grad[0] else None
        by_goal = slope.sum_to_size(ctx.shapes[1]).neg() if ctx.needs_input_grad[1] else None
        return by_state, by_goal, None


class LatentWorldModel(nn.Module, ABC):
    """A world model on visual features of a picture beside proprioception.

    z = (V visual features, agent x, y, vx, vy), all standardised. The goal cost is the
    mean squared error of the visual part plus that of the proprioceptive part, as in
    DINO-WM. Subclasses say what the features are and how they are drawn.

    Attributes:
        kind: the architecture's name in a checkpoint's card.
        feature_dtype: precise enough to keep features in between stages of training.
        predictor: F(z, a) on [..., D] and [..., A].
        visual_dim: V.
    """

    kind: ClassVar[str]
    feature_dtype: ClassVar[torch.dtype] = torch.float32
    predictor: nn.Module
    action_mean: Tensor
    action_std: Tensor
    visual_mean: Tensor
    visual_std: Tensor
    proprio_mean: Tensor
    proprio_std: Tensor
    part_sizes: Tensor

    def __init__(self, config: LatentConfig, visual_dim: int) -> None:
        super().__init__()
        self.config = config
        # In a tuple, where torch does not take it for a part of this module.
        self._prior: tuple[ActionPrior, ...] = ()
        self.frameskip = config.frameskip
        self.image_size = config.image_size
        self.action_dim = config.frameskip * ACTION_DIM
        self.visual_dim = visual_dim
        self.latent_shape: tuple[int, ...] = (visual_dim + PROPRIO_DIM,)
        for name, width in (
            ("action", ACTION_DIM),
            ("visual", visual_dim),
            ("proprio", PROPRIO_DIM),
        ):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_std", torch.ones(width))
        sizes = torch.tensor([visual_dim] * visual_dim + [PROPRIO_DIM] * PROPRIO_DIM)
        self.register_buffer("part_sizes", sizes.float(), persistent=False)

    @property
    def prior(self) -> ActionPrior | None:
        """What the training data did on the way to a goal; no part of the model's weights."""
        return self._prior[0] if self._prior else None

    def attach_prior(self, prior: ActionPrior) -> None:
        """Give the model a prior that problems hand to planners."""
        self._prior = (prior,)

    @abstractmethod
    def features(self, pixels: Tensor) -> Tensor:
        """Visual features [B, V], not yet standardised, of pictures [B, S, S, 3] uint8."""

    @abstractmethod
    def feature_statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean [V] and scale ([V] or one number) that standardise features [N, V]."""

    def encode(self, observation: Observation) -> Tensor:
        """Latents [B, D] of B observations."""
        device = self.visual_mean.device
        features = self.features(observation.pixels.to(device))
        return self.latent(features, observation.proprio.to(device))

    def latent(self, features: Tensor, proprio: Tensor) -> Tensor:
        """Latents [..., D] from features [..., V] and proprioception [..., 4]."""
        visual = (features - self.visual_mean) / self.visual_std
        return torch.cat([visual, (proprio - self.proprio_mean) / self.proprio_std], dim=-1)

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        """F(s, a): [..., D] and [..., A] to [..., D]."""
        following: Tensor = self.predictor(state, action)
        return following

    def summary(self, state: Tensor) -> Tensor:
        """What an action prior reads of latents [..., D]: all of them, if nothing shorter does."""
        return state

    def disagreement(self, state: Tensor, action: Tensor) -> Tensor:
        """How far an ensemble's predictors lie apart on [..., D] and [..., A], [...].

        The variance of F(s, a) over the predictors, averaged as `distance` averages errors.

        Raises:
            UserError: the model has a single predictor.
        """
        if not isinstance(self.predictor, EnsemblePredictor):
            raise UserError(
                "this model has one predictor, so nothing disagrees: "
                "'grasp-bench finetune --ensemble 3' makes an ensemble"
            )
        return self.mean_parts(self.predictor.answers(state, action).var(0))

    def distance(self, state: Tensor, goal: Tensor) -> Tensor:
        """Mean squared visual error plus mean squared proprioceptive error, [...]."""
        split: Tensor = _SquaredDistance.apply(state, goal, self)  # type: ignore[no-untyped-call]
        return split

    def mean_parts(self, errors: Tensor) -> Tensor:
        """The mean of errors [..., D] over the visual part plus that over the rest, [...]."""
        return errors[..., : self.visual_dim].mean(-1) + errors[..., self.visual_dim :].mean(-1)

    def normalise_actions(self, actions: Tensor) -> Tensor:
        """Environment actions [..., T * frameskip, 2] to model actions [..., T, A]."""
        scaled = (actions - self.action_mean) / self.action_std
        return scaled.reshape(*actions.shape[:-2], -1, self.action_dim)

    def denormalise_actions(self, actions: Tensor) -> Tensor:
        """Model actions [..., T, A] to environment actions [..., T * frameskip, 2]."""
        unstacked = actions.reshape(*actions.shape[:-2], -1, ACTION_DIM)
        return unstacked * self.action_std + self.action_mean
