"""Floors and ceiling of a table: no action, actions from the data, the demonstration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from grasp_bench.planners.base import evaluated, no_action
from grasp_bench.types import Candidate, NoiseStreams, Problem, Reference


@dataclass(frozen=True)
class Zero:
    """No action: every environment action is 0, whatever that is after normalisation."""

    name: ClassVar[str] = "zero"
    reference: ClassVar[Reference] = "none"

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """One candidate."""
        yield evaluated(problem, no_action(problem), iteration=0)


@dataclass(frozen=True)
class Random:
    """Actions from the data distribution: the demonstration of another task."""

    name: ClassVar[str] = "random"
    reference: ClassVar[Reference] = "other"

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """One candidate."""
        yield _reference(problem)


@dataclass(frozen=True)
class Demo:
    """The task's own demonstration, which must succeed if the simulator is exact."""

    name: ClassVar[str] = "demo"
    reference: ClassVar[Reference] = "own"

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """One candidate."""
        yield _reference(problem)


def _reference(problem: Problem) -> Candidate:
    if problem.reference_actions is None:
        raise ValueError("this planner needs Problem.reference_actions")
    return evaluated(problem, problem.reference_actions, iteration=0)
