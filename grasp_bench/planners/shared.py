"""Holds what planners share: restarts, candidates, checks of hyperparameters."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem, Reference
from grasp_bench.planners.objective import goal_cost


class RestartingPlanner(ABC):
    """Gives a dataclass of hyperparameters the `Planner` protocol; its `_run` is one run.

    Raises:
        UserError: a count (integer field) is below 1, or a rate (float field) is below 0 or
            not finite.
    """

    name: ClassVar[str]
    reference: ClassVar[Reference] = "none"

    def __post_init__(self) -> None:
        for field, value in vars(self).items():
            if isinstance(value, bool):
                continue
            if isinstance(value, int) and value < 1:
                raise UserError(f"{self.name}: {field} must be at least 1, not {value}")
            if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
                raise UserError(
                    f"{self.name}: {field} must be a finite number of at least 0, not {value}"
                )

    def check_range(self, field: str, low: float = 0.0, high: float = math.inf) -> None:
        """Raises UserError unless low <= the field's value <= high."""
        value = getattr(self, field)
        if not low <= value <= high:
            limit = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
            raise UserError(f"{self.name}: {field} must be {limit}, not {value}")

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """Yields the candidates of one run after another, without end.

        The paper gives every planner a fixed number of iterations; a planner with time left
        starts over from a fresh initialisation. `Candidate.iteration` counts through all runs.
        A planner with a hyperparameter `starts` makes so many runs at once.
        """
        done, starts = 0, getattr(self, "starts", 1)
        while True:
            iteration = done
            run = self._run(problem, noise) if starts == 1 else self._runs(problem, noise, starts)
            for candidate in run:
                iteration = done + candidate.iteration
                yield replace(candidate, iteration=iteration)
            done = iteration

    def _runs(self, problem: Problem, noise: NoiseStreams, starts: int) -> Iterator[Candidate]:
        """Makes several runs of every problem at once; shows the best plan of each problem's."""
        wide = replace(
            problem,
            start=problem.start.repeat_interleave(starts, dim=0),
            goal=problem.goal.repeat_interleave(starts, dim=0),
        )
        first = starts * torch.arange(problem.batch, device=problem.start.device)
        for candidate in self._run(wide, noise.repeated(starts)):
            costs = candidate.cost.nan_to_num(math.inf).reshape(-1, starts)
            best, states = first + costs.argmin(dim=1), candidate.virtual_states
            yield Candidate(
                candidate.actions[best],
                candidate.cost[best],
                candidate.iteration,
                None if states is None else states[best],
            )

    @abstractmethod
    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]: ...


def evaluated(
    problem: Problem, actions: Tensor, iteration: int, virtual_states: Tensor | None = None
) -> Candidate:
    """Returns a candidate of actions [B, T, A] with the cost of a serial rollout, forward only.

    The planner may go on changing its tensors in place: the candidate holds copies.
    """
    with torch.no_grad():
        cost = goal_cost(problem, actions)
    states = None if virtual_states is None else snapshot(virtual_states)
    return Candidate(snapshot(actions), cost, iteration, states)


def no_action(problem: Problem) -> Tensor:
    """Returns actions [B, T, A] that are 0 in the environment, before normalisation."""
    model = problem.model
    idle = problem.start.new_zeros(
        problem.batch, problem.steps * model.frameskip, model.action_dim // model.frameskip
    )
    return model.normalise_actions(idle)


def variable(tensor: Tensor) -> Tensor:
    """Returns a view that autograd differentiates by, sharing the tensor's memory."""
    return tensor.detach().requires_grad_()


def snapshot(tensor: Tensor) -> Tensor:
    """Returns a copy that later steps in place do not touch."""
    return tensor.detach().clone()
