"""Plans by L-BFGS through the serial rollout, from many starts at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners._numerics.quasi_newton import Curvature
from grasp_bench.planners.cem import cheapest
from grasp_bench.planners.objective import goal_cost, goal_gradient
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner


@dataclass(frozen=True)
class LBFGS(RestartingPlanner):
    """Takes quasi-Newton steps on ‖s_T(a) - g‖², the best of several lengths each time.

        d = -H ∇‖s_T(a) - g‖²,   H from the last m steps (L-BFGS, Liu and Nocedal, 1989)
        a ← cheapest of a and Π(a + 2^-j d),  j = 0 .. J - 1

    Π moves an action to the nearest one within the limits. All lengths are rolled out together
    in one call. Where none makes a plan cheaper, it stays and its curvature is forgotten.
    Candidate k is the plan after k steps.

    Attributes:
        iterations: steps of one run, before a restart.
        memory: m.
        lengths: J.
        first_step: length of the first step, normalised action units.
        sigma: standard deviation of the first plan, normalised action units.
        starts: runs of every problem at once, from plans of their own; the best is shown.
    """

    name: ClassVar[str] = "lbfgs"
    search_space: ClassVar[SearchSpace] = {
        "iterations": IntRange(10, 300),
        "lengths": IntRange(2, 8),
        "first_step": FloatRange(0.1, 10.0),
        "sigma": FloatRange(0.1, 1.5),
        "starts": IntRange(1, 64),
    }

    iterations: int = 100
    memory: int = 10
    lengths: int = 4
    first_step: float = 1.0
    sigma: float = 1.0
    starts: int = 16

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        shape = (problem.steps, problem.model.action_dim)
        plans = problem.project_(self.sigma * noise.normal(*shape, like=problem.start))
        descent = Descent(problem, plans[:, None], self.memory, self.lengths, self.first_step)
        for iteration in range(1, self.iterations + 1):
            descent.step()
            yield Candidate(descent.plans[:, 0], descent.costs[:, 0], iteration)


class Descent:
    """Descends from many plans of every problem by L-BFGS.

    Attributes:
        plans: [B, N, T, A], replaced by each step.
        costs: [B, N] of them.
    """

    def __init__(
        self, problem: Problem, plans: Tensor, memory: int, lengths: int, first_step: float
    ) -> None:
        self._problem, self._first = problem, first_step
        self._lengths = 0.5 ** torch.arange(lengths).to(plans)
        self._curvature = Curvature(memory)
        self.plans = plans
        self.costs, self._gradient = goal_gradient(problem, plans)

    def best(self) -> tuple[Tensor, Tensor]:
        """Returns the cheapest plan [B, T, A] of every problem and its cost [B]."""
        plans, costs = cheapest(self.plans, self.costs, 1)
        return plans[:, 0], costs[:, 0]

    def step(self) -> None:
        """Takes one step of every plan; none becomes dearer."""
        problem, flat = self._problem, self._gradient.flatten(0, 1).flatten(1)
        direction = self._curvature.descent(flat, self._first).view_as(self.plans)
        steps = self._lengths[:, None, None] * direction[:, :, None]
        tried = problem.project(self.plans[:, :, None] + steps)
        with torch.no_grad():
            costs, places = goal_cost(problem, tried).nan_to_num(torch.inf).min(dim=2)
        chosen = tried.take_along_dim(places[..., None, None, None], dim=2).squeeze(2)
        better = (costs < self.costs)[..., None, None]
        plans = torch.where(better, chosen, self.plans)
        self.costs, gradient = goal_gradient(problem, plans)
        moved = (plans - self.plans).flatten(0, 1).flatten(1)
        self._curvature.remember(moved, (gradient - self._gradient).flatten(0, 1).flatten(1))
        self._curvature.forget(~better.flatten())
        self.plans, self._gradient = plans, gradient
