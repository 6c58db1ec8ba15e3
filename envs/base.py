"""Defines what an environment decides, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from grasp_bench.core.types import FloatArray, Observation, View


@dataclass(frozen=True)
class PlanOutcome:
    """Says what became of one executed plan.

    Attributes:
        criteria: whether each of the environment's success criteria holds, in their order.
        distances: the environment's distances to the goal after the last step.
        reached_at: the first step at which the default criterion's region is reached, or None.
        states: [H + 1, S] from the start to the state after the last step.
    """

    criteria: Mapping[str, bool]
    distances: Mapping[str, float]
    reached_at: int | None
    states: FloatArray

    @property
    def success(self) -> bool:
        """Tells whether the environment's first, default criterion holds."""
        return next(iter(self.criteria.values()))


class Environment(Protocol):
    """Stands for one environment in the whole suite.

    Symbols: B plans, H environment steps, S numbers of a state, E numbers of an action.

    Attributes:
        name: names it in task files and results, e.g. `pusht`.
        title: names it in prose, e.g. `Push-T`.
        state_dim: S.
        action_dim: E.
        action_limits: the lowest and highest number of an action that is carried out as it is;
            None if all are.
        control_hz: actions per second of simulated time.
        criteria: success criteria by name, each with its rule; the first is the default.
            Results have a column `success_NAME` for every other one.
        distances: distances to the goal by name, each with its unit and meaning. Results
            have a column `final_plan_NAME` for each.
    """

    name: str
    title: str
    state_dim: int
    action_dim: int
    action_limits: tuple[float, float] | None
    control_hz: int
    criteria: Mapping[str, str]
    distances: Mapping[str, str]

    def observe(self, states: FloatArray, view: View) -> Observation:
        """Shows states [B, S] as a world model with that view sees them.

        Raises:
            UserError: the environment has no such style.
        """
        ...

    def rollout(self, starts: FloatArray, actions: FloatArray) -> FloatArray:
        """Executes actions [B, H, E] from starts [B, S], each in a fresh simulator.

        Returns:
            States [B, H + 1, S], the start included. The same input gives the same bits.
        """
        ...

    def outcomes(self, states: FloatArray, goals: FloatArray) -> list[PlanOutcome]:
        """Judges executed plans, states [B, H + 1, S], against goals [B, S]."""
        ...

    def is_task(self, start: FloatArray, goal: FloatArray) -> bool:
        """Tells whether a start [S] and goal [S] ask for something."""
        ...

    def demonstrate(self, rng: np.random.Generator, steps: int) -> tuple[FloatArray, FloatArray]:
        """Makes one demonstration: states [steps + 1, S] and actions [steps, E]."""
        ...

    def render(
        self, states: FloatArray | None, size: int, goals: FloatArray | None = None
    ) -> NDArray[np.uint8]:
        """Draws states [B, S] over goals [B, S] as pictures [B, size, size, 3] for a person.

        At least one of both is given.
        """
        ...
