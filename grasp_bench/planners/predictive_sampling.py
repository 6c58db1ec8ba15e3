"""Plans by predictive sampling (Howell et al., arXiv 2212.00541)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners.cem import cheapest, sample
from grasp_bench.planners.objective import population_cost
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner


@dataclass(frozen=True)
class PredictiveSampling(RestartingPlanner):
    """Takes the cheapest of plans around the one it has, again and again.

        a_n = a + σ ε_n,  ε_n ~ N(0, I),  n = 1 .. N - 1,   a ← cheapest of a, a_1 .. a_{N-1}

    The original perturbs the knots of a spline once per environment step; here every model
    step is a knot, and one plan is improved. Candidate k is the plan after k iterations.

    Attributes:
        samples: N, the plan at hand among them.
        iterations: of one run, before a restart.
        sigma: σ, normalised action units.
    """  # noqa: RUF002

    name: ClassVar[str] = "predictive-sampling"
    search_space: ClassVar[SearchSpace] = {
        "samples": IntRange(8, 512),
        "iterations": IntRange(10, 1000),
        "sigma": FloatRange(0.05, 2.0),
    }

    samples: int = 64
    iterations: int = 300
    sigma: float = 0.3

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        plan = problem.start.new_zeros(problem.batch, problem.steps, problem.model.action_dim)
        deviation = torch.full_like(plan, self.sigma)
        for iteration in range(1, self.iterations + 1):
            population = sample(problem, plan, deviation, self.samples, noise)
            with torch.no_grad():
                costs = population_cost(problem, population, 1)
                plans, costs = cheapest(population, costs, 1)
            plan = plans[:, 0]
            yield Candidate(plan, costs[:, 0], iteration)
