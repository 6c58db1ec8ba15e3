"""Bounds a table from below and above: no action, random ones, demonstrations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem, Reference
from grasp_bench.planners.shared import evaluated, no_action


@dataclass(frozen=True)
class Zero:
    """Takes no action: every environment action is 0, whatever that is after normalisation."""

    name: ClassVar[str] = "zero"
    reference: ClassVar[Reference] = "none"

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """Yields one candidate."""
        yield evaluated(problem, no_action(problem), iteration=0)


@dataclass(frozen=True)
class Random:
    """Draws independent Gaussian actions with the mean and deviation of the training data."""

    name: ClassVar[str] = "random"
    reference: ClassVar[Reference] = "none"

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """Yields one candidate."""
        actions = noise.normal(problem.steps, problem.model.action_dim, like=problem.start)
        yield evaluated(problem, problem.project(actions), iteration=0)


@dataclass(frozen=True)
class Demo:
    """Repeats the task's own demonstration, which succeeds if the simulator is exact."""

    name: ClassVar[str] = "demo"
    reference: ClassVar[Reference] = "own"

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """Yields one candidate."""
        if problem.reference_actions is None:
            raise ValueError("this planner needs Problem.reference_actions")
        yield evaluated(problem, problem.reference_actions, iteration=0)


@dataclass(frozen=True)
class ShuffledDemo(Demo):
    """Repeats the demonstration of another task."""

    name: ClassVar[str] = "shuffled-demo"
    reference: ClassVar[Reference] = "other"
