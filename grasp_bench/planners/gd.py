"""Plans by gradient descent through the serial rollout, as DINO-WM does (arXiv 2411.04983)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners._numerics.adam import Adam
from grasp_bench.planners.objective import goal_gradient
from grasp_bench.planners.search_space import Choice, FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner, evaluated, snapshot


@dataclass(frozen=True)
class GD(RestartingPlanner):
    """Follows a ← Π(a - lr ∇_a ‖s_T(a) - g‖² + action_noise ξ), with ξ ~ N(0, I).

    Π moves an action to the nearest one within the limits. Candidate k is the plan after k
    steps. The rollout that yields the gradient of step k + 1 also yields its cost.

    Attributes:
        lr: step size.
        iterations: steps of one run, before a restart.
        action_noise: standard deviation of the noise, normalised action units.
        initial: first plan, standard normal or zero (normalised).
        optimiser: plain gradient steps, or Adam (later public versions, lr 0.2 to 0.3).
        falling: lr falls to 0 along half a cosine while the run lasts.
        starts: runs of every problem at once, from plans of their own; the best is shown.
    """

    name: ClassVar[str] = "gd"
    search_space: ClassVar[SearchSpace] = {
        "optimiser": Choice(("sgd", "adam")),
        "lr": FloatRange(0.02, 20.0),
        "iterations": IntRange(30, 1000),
        "falling": Choice((False, True)),
        "starts": IntRange(1, 64),
    }

    lr: float = 1.0
    iterations: int = 1000
    action_noise: float = 0.003
    initial: Literal["normal", "zero"] = "normal"
    optimiser: Literal["sgd", "adam"] = "sgd"
    falling: bool = False
    starts: int = 1

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        shape = (problem.steps, problem.model.action_dim)
        actions = noise.normal(*shape, like=problem.start)
        if self.initial == "zero":
            actions.zero_()
        adam = Adam(problem.project_(actions), self.lr)
        for iteration in range(self.iterations):
            cost, gradient = goal_gradient(problem, actions)
            yield Candidate(snapshot(actions), cost, iteration)
            share = half_cosine(iteration / self.iterations) if self.falling else 1.0
            if self.optimiser == "adam":
                adam.step(gradient, share)
            else:
                actions.sub_(gradient, alpha=share * self.lr)
            actions.add_(noise.normal(*shape, like=actions), alpha=self.action_noise)
            problem.project_(actions)
        yield evaluated(problem, actions, self.iterations)


def half_cosine(progress: float) -> float:
    """Returns a factor that falls from 1 to 0 while progress goes from 0 to 1."""
    return (1 + math.cos(math.pi * progress)) / 2
