"""The central types, with their shapes.

Symbols used everywhere: B problems, H environment steps, T = H / frameskip model
steps, A = frameskip x environment action dimension, Z the latent shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]
Reference = Literal["none", "own", "other"]


@dataclass(frozen=True)
class Task:
    """One start-goal pair, `horizon` environment steps apart on a demonstration.

    Attributes:
        id: never changes once published, e.g. `pusht-h80-0042`.
        horizon: H, environment steps.
        start_state: [7] agent x, y, block x, y (px), block angle (rad), agent vx, vy (px/s).
        goal_state: [7] the state reached by replaying `demo_actions` from `start_state`.
        demo_actions: [H, 2] relative actions, in units of 100 px.
    """

    id: str
    horizon: int
    start_state: FloatArray
    goal_state: FloatArray
    demo_actions: FloatArray


@dataclass(frozen=True)
class Observation:
    """What a world model may see of B states.

    Attributes:
        pixels: [B, S, S, 3] uint8, RGB.
        proprio: [B, 4] float32, agent x, y (px) and vx, vy (px/s).
    """

    pixels: Tensor
    proprio: Tensor


@runtime_checkable
class WorldModel(Protocol):
    """A learned model s' = F(s, a) in a latent space, as planners see it.

    A model may also have a `prior`, an `ActionPrior`; problems hand it to planners.

    Attributes:
        frameskip: environment steps per model step.
        action_dim: A, the width of one model action (frameskip environment actions, stacked).
        latent_shape: Z.
        image_size: width in pixels of the square pictures `encode` takes.
    """

    frameskip: int
    action_dim: int
    image_size: int
    latent_shape: tuple[int, ...]

    def encode(self, observation: Observation) -> Tensor:
        """Latents [B, *Z] of B observations, on the model's device."""
        ...

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        """F(s, a): [..., *Z] and [..., A] (normalised) to [..., *Z], any leading dimensions."""
        ...

    def distance(self, state: Tensor, goal: Tensor) -> Tensor:
        """Squared distance [...] of latents [..., *Z]: the goal cost and the defect's metric."""
        ...

    def normalise_actions(self, actions: Tensor) -> Tensor:
        """Environment actions [..., T * frameskip, 2] to model actions [..., T, A]."""
        ...

    def denormalise_actions(self, actions: Tensor) -> Tensor:
        """Model actions [..., T, A] to environment actions [..., T * frameskip, 2]."""
        ...


class NoiseStreams:
    """One independent random stream per problem of a batch.

    A draw gives problem b the next numbers of stream b, whatever B is: a problem sees
    the same noise alone and in a batch. Numbers are drawn on the CPU, so they are also
    the same on every device.
    """

    def __init__(self, generators: list[torch.Generator]) -> None:
        self._generators = generators

    @classmethod
    def from_seeds(cls, seeds: list[int]) -> NoiseStreams:
        """One stream per 64-bit seed."""
        return cls([torch.Generator().manual_seed(seed) for seed in seeds])

    def __len__(self) -> int:
        return len(self._generators)

    def normal(self, *shape: int, like: Tensor) -> Tensor:
        """Standard normal numbers [B, *shape], on the device and in the type of `like`."""
        draws = [torch.randn(shape, generator=g, dtype=torch.float32) for g in self._generators]
        return torch.stack(draws).to(like)


class ActionPrior(Protocol):
    """π(a | s, g, k): actions that the training data took in s when g was k model steps away.

    Attributes:
        draws: standard normal numbers that one sample takes.
    """

    draws: int

    def sample(
        self, state: Tensor, goal: Tensor, steps_left: int, draws: Tensor, temperature: float
    ) -> Tensor:
        """Normalised actions [..., A] for states and goals [..., *Z].

        Args:
            state: where the action is taken.
            goal: where to be `steps_left` model steps later.
            steps_left: k, at least 1.
            draws: [..., `draws`] standard normal numbers.
            temperature: scales the deviation from the likeliest actions; 1 is the data's.
        """
        ...


@dataclass(frozen=True)
class Problem:
    """B planning problems that share a model and a number of steps.

    Attributes:
        model: the world model to plan with.
        start: [B, *Z] encoded starts s_0.
        goal: [B, *Z] encoded goals g.
        steps: T, model steps.
        reference_actions: [B, T, A] normalised actions, given only to planners whose
            `reference` asks for them (the `demo` and `random` rows of a table).
        prior: learned with the model, where there is one.
    """

    model: WorldModel
    start: Tensor
    goal: Tensor
    steps: int
    reference_actions: Tensor | None = None
    prior: ActionPrior | None = None

    @property
    def batch(self) -> int:
        """B."""
        return self.start.shape[0]


@dataclass(frozen=True)
class Candidate:
    """The plans a planner holds after some iterations.

    Attributes:
        actions: [B, T, A] normalised.
        cost: [B] goal cost of `actions` at the end of a true serial rollout of the model,
            so that collocation and shooting compare.
        iteration: iterations done so far.
        virtual_states: [B, T - 1, *Z] of a collocation planner, else None.
    """

    actions: Tensor
    cost: Tensor
    iteration: int
    virtual_states: Tensor | None = None


class Planner(Protocol):
    """A frozen dataclass whose fields are its hyperparameters.

    `plan` yields candidates until the caller stops asking. It sees the problem and the
    noise and nothing else: no simulator, clock, logger or device name.
    `reference` says which demonstration, if any, the planner is handed in
    `Problem.reference_actions`: real planners say "none". A planner that uses
    `Problem.prior` says `uses_prior: ClassVar[bool] = True`, so that results name the prior;
    one that `grasp-bench tune` may tune has a `search_space` (`planners/search_space.py`).
    """

    name: ClassVar[str]
    reference: ClassVar[Reference]

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """Candidates for B problems, one after every few iterations, without end."""
        ...


def uses_prior(planner: Planner) -> bool:
    """Whether the planner says that it uses `Problem.prior`."""
    return bool(getattr(planner, "uses_prior", False))
