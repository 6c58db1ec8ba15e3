"""Defines the central types, with their shapes.

Symbols used everywhere: B problems, H environment steps, T = H / frameskip model
steps, S numbers of an environment state, E numbers of an environment action,
A = frameskip x E, Z the latent shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # what reads results uses this module too, and must not wait for torch
    from torch import Tensor

    from grasp_bench.core.noise import NoiseStreams

FloatArray = NDArray[np.float64]
Reference = Literal["none", "own", "other"]
Row = dict[str, Any]  # one trial of a results file, by column


@dataclass(frozen=True)
class Task:
    """One start-goal pair, `horizon` environment steps apart on a demonstration.

    Attributes:
        id: never changes once published, e.g. `pusht-h80-0042`.
        horizon: H, environment steps.
        start_state: [S] in the environment's units.
        goal_state: [S] the state reached by replaying `demo_actions` from `start_state`.
        demo_actions: [H, E] environment actions.
    """

    id: str
    horizon: int
    start_state: FloatArray
    goal_state: FloatArray
    demo_actions: FloatArray


@dataclass(frozen=True)
class View:
    """Names the pictures that a world model is shown; the environment draws them.

    Attributes:
        size: width in pixels of the square pictures.
        style: which of the environment's drawings.
    """

    size: int
    style: str = "default"


@dataclass(frozen=True)
class Observation:
    """Holds what a world model may see of B states.

    Attributes:
        pixels: [B, size, size, 3] uint8, RGB.
        proprio: [B, P] float32, in the environment's units.
    """

    pixels: Tensor
    proprio: Tensor


@dataclass(frozen=True)
class ActivationBytes:
    """Says what memory one transition of a world model takes.

    Attributes:
        kept: until its gradient is taken, if there will be one.
        passing: while it is computed.
        backward: while its gradient is taken.
    """

    kept: int
    passing: int
    backward: int


@runtime_checkable
class WorldModel(Protocol):
    """A learned model s' = F(s, a) in a latent space, as planners see it.

    A model whose distance to a goal has a visual and a proprioceptive part weighs the second:
    `goal_distance(state, goal, proprio_weight)`. One that remembers several frames has `context`,
    their number, and `step_in_context(states, actions)`: [..., n, *Z] and [..., n, A] to
    [..., *Z], for n up to `context`. A model may also have a `prior`, an `ActionPrior`, which
    problems hand to planners, and a `probe`, a `StateProbe`, by which trials say whether a plan
    succeeds in the model. It may have a `rough` form, another `WorldModel` of the same latents, by
    which planners choose among many plans. A large one has `activation_bytes(frames)`, the
    `ActivationBytes` of a transition that sees so many frames: what will not fit into memory is
    refused before a run.

    Attributes:
        frameskip: environment steps per model step.
        action_dim: A, the width of one model action (frameskip environment actions, stacked).
        latent_shape: Z.
        view: the pictures that `encode` takes.
    """

    frameskip: int
    action_dim: int
    latent_shape: tuple[int, ...]
    view: View

    def encode(self, observation: Observation) -> Tensor:
        """Latents [B, *Z] of B observations, on the model's device."""
        ...

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        """F(s, a): [..., *Z] and [..., A] (normalised) to [..., *Z], any leading dimensions."""
        ...

    def distance(self, state: Tensor, goal: Tensor) -> Tensor:
        """Gives the squared distance [...] of latents [..., *Z], for goal costs and defects."""
        ...

    def normalise_actions(self, actions: Tensor) -> Tensor:
        """Turns environment actions [..., T * frameskip, E] into model actions [..., T, A]."""
        ...

    def denormalise_actions(self, actions: Tensor) -> Tensor:
        """Turns model actions [..., T, A] into environment actions [..., T * frameskip, E]."""
        ...


class ActionPrior(Protocol):
    """π(a | s, g, k): actions that the training data took in s when g was k model steps away.

    Attributes:
        draws: standard normal numbers that one sample takes.
    """

    draws: int

    def sample(
        self, state: Tensor, goal: Tensor, steps_left: int, draws: Tensor, temperature: float
    ) -> Tensor:
        """Draws normalised actions [..., A] for states and goals [..., *Z].

        Args:
            state: where the action is taken.
            goal: where to be `steps_left` model steps later.
            steps_left: k, at least 1.
            draws: [..., `draws`] standard normal numbers.
            temperature: scales the deviation from the likeliest actions; 1 is the data's.
        """
        ...


class StateProbe(Protocol):
    """Reads the environment's state from latents of a model."""

    def read(self, latents: Tensor) -> FloatArray:
        """Reads latents [N, *Z] as states [N, S]; numbers that it cannot read are 0."""
        ...


@dataclass(frozen=True)
class Objective:
    """Says what a plan costs: the mean distance of its last states to the goal.

    Attributes:
        proprio_weight: α, of the proprioceptive part of the distance beside the visual one.
        goal_steps: how many states at the end of the plan count, in model steps.
    """  # noqa: RUF002

    proprio_weight: float = 1.0
    goal_steps: int = 1


@dataclass(frozen=True)
class Problem:
    """B planning problems that share a model and a number of steps.

    Attributes:
        model: the world model to plan with.
        start: [B, *Z] encoded starts s_0.
        goal: [B, *Z] encoded goals g.
        steps: T, model steps.
        reference_actions: [B, T, A] normalised actions, given only to planners whose
            `reference` asks for them (the `demo` and `shuffled-demo` rows of a table).
        prior: learned with the model, where there is one.
        limits: the lowest and the highest normalised action [A] that the environment carries
            out as it is; None where there are none, or planners are not told.
        objective: what plans cost.
    """

    model: WorldModel
    start: Tensor
    goal: Tensor
    steps: int
    reference_actions: Tensor | None = None
    prior: ActionPrior | None = None
    limits: tuple[Tensor, Tensor] | None = None
    objective: Objective = field(default_factory=Objective)

    @property
    def batch(self) -> int:
        """B."""
        return self.start.shape[0]

    def project(self, actions: Tensor) -> Tensor:
        """Returns the nearest actions [..., A] within the limits."""
        return actions if self.limits is None else actions.clamp(*self.limits)

    def project_(self, actions: Tensor) -> Tensor:
        """Moves actions [..., A] in place to the nearest ones within the limits; returns them."""
        return actions if self.limits is None else actions.clamp_(*self.limits)


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
    """Tells whether the planner says that it uses `Problem.prior`."""
    return bool(getattr(planner, "uses_prior", False))
