"""What the planners share: the restart loop, candidates and checks of hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, cast

import torch
from torch import Tensor

from grasp_bench.errors import UserError
from grasp_bench.objective import goal_cost
from grasp_bench.types import Candidate, Planner, Problem


def restarts(run: Callable[[], Iterator[Candidate]]) -> Iterator[Candidate]:
    """The candidates of one run after another, without end.

    The paper gives every planner a fixed number of iterations; a planner with time left
    starts over from a fresh initialisation. `Candidate.iteration` counts through all runs.
    """
    done = 0
    while True:
        iteration = done
        for candidate in run():
            iteration = done + candidate.iteration
            yield replace(candidate, iteration=iteration)
        done = iteration


def evaluated(
    problem: Problem, actions: Tensor, iteration: int, virtual_states: Tensor | None = None
) -> Candidate:
    """A candidate of actions [B, T, A] with the cost of a serial rollout, forward only.

    The planner may go on changing its tensors in place: the candidate holds copies.
    """
    with torch.no_grad():
        cost = goal_cost(problem, actions)
    states = None if virtual_states is None else snapshot(virtual_states)
    return Candidate(snapshot(actions), cost, iteration, states)


def no_action(problem: Problem) -> Tensor:
    """Actions [B, T, A] that are 0 in the environment, whatever that is after normalisation."""
    model = problem.model
    idle = problem.start.new_zeros(
        problem.batch, problem.steps * model.frameskip, model.action_dim // model.frameskip
    )
    return model.normalise_actions(idle)


def variable(tensor: Tensor) -> Tensor:
    """A view that autograd differentiates with respect to, sharing the tensor's memory."""
    return tensor.detach().requires_grad_()


def snapshot(tensor: Tensor) -> Tensor:
    """A copy that later steps in place do not touch."""
    return tensor.detach().clone()


def check_numbers(planner: Planner) -> None:
    """Raises UserError unless every count is at least 1 and every rate finite and at least 0.

    Counts are the integer fields of the dataclass, rates its floating-point fields.
    """
    for field in fields(cast(Any, planner)):
        value = getattr(planner, field.name)
        if isinstance(value, bool):
            continue
        if isinstance(value, int) and value < 1:
            raise UserError(f"{planner.name}: {field.name} must be at least 1, not {value}")
        if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
            raise UserError(
                f"{planner.name}: {field.name} must be a finite number of at least 0, not {value}"
            )


def check_range(planner: Planner, field: str, low: float = 0.0, high: float = math.inf) -> None:
    """Raises UserError unless low <= the field's value <= high."""
    value = getattr(planner, field)
    if not low <= value <= high:
        limit = f"at least {low:g}" if value < low else f"at most {high:g}"
        raise UserError(f"{planner.name}: {field} must be {limit}, not {value}")


def check_elites(planner: Planner, elites: int, samples: int) -> None:
    """Raises UserError unless 2 <= elites <= samples: one plan has no standard deviation."""
    if not 2 <= elites <= samples:
        raise UserError(
            f"{planner.name}: the number of elites must be between 2 and the number of "
            f"samples ({samples}), not {elites}"
        )
