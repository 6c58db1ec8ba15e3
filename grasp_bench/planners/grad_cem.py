"""Plans by CEM whose samples descend before they are judged (Bharadhwaj et al., L4DC 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners.cem import CEM, refit, sample
from grasp_bench.planners.objective import goal_gradient, population_cost
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import evaluated


@dataclass(frozen=True)
class GradCEM(CEM):
    """Samples plans, moves each down its gradient, refits mean and deviation to the best.

        a_n ~ N(μ, σ²),   then J times   a_n ← Π(a_n - lr ∇ ‖s_T(a_n) - g‖²)
        μ, σ ← mean and standard deviation of the K cheapest a_n

    "Model-predictive control via cross-entropy and gradient-based optimization"
    (arXiv 2004.08763); CEM-GD (Huang et al., arXiv 2112.07746) is of the same kind but
    descends from the best samples only. Candidate k is the mean after k refits; it is also
    the first sample of the next population, whose first gradient tells its cost.

    Attributes:
        samples: N, plans per iteration and problem.
        elites: K, plans the Gaussian is refitted to.
        iterations: refits of one run, before a restart.
        sigma: initial standard deviation, normalised action units.
        gradient_steps: J.
        lr: their step size.
    """  # noqa: RUF002

    name: ClassVar[str] = "grad-cem"
    search_space: ClassVar[SearchSpace] = {
        "samples": IntRange(16, 256),
        "elites": IntRange(4, 16),
        "sigma": FloatRange(0.3, 2.0),
        "gradient_steps": IntRange(1, 5),
        "lr": FloatRange(0.1, 10.0),
    }

    samples: int = 64
    elites: int = 8
    gradient_steps: int = 2
    lr: float = 1.0

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        mean, deviation = self._first(problem)
        for iteration in range(self.iterations):
            population = sample(problem, mean, deviation, self.samples, noise)
            costs = self._descend(problem, population)
            yield Candidate(mean, costs[:, 0].clone(), iteration)
            with torch.no_grad():
                costs = population_cost(problem, population, self.elites)
            mean, deviation = refit(population, costs, self.elites)
        yield evaluated(problem, mean, self.iterations)

    def _descend(self, problem: Problem, population: Tensor) -> Tensor:
        """Moves plans [B, N, T, A] in place; returns what they cost before, [B, N]."""
        costs, gradient = goal_gradient(problem, population)
        problem.project_(population.sub_(gradient, alpha=self.lr))
        for _ in range(self.gradient_steps - 1):
            _, gradient = goal_gradient(problem, population)
            problem.project_(population.sub_(gradient, alpha=self.lr))
        return costs
