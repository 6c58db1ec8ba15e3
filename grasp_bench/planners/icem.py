"""Plans by iCEM, the improved cross-entropy method (Pinneri et al., arXiv 2008.06389)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners._numerics.coloured_noise import coloured_noise
from grasp_bench.planners.cem import CEM, cheapest
from grasp_bench.planners.objective import population_cost
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace


@dataclass(frozen=True)
class ICEM(CEM):
    """Runs CEM with coloured noise, elites that live on, shrinking populations and momentum.

        plans_i = μ + σ ⊙ ε,  ε coloured over time: power spectral density ∝ 1/f^β
        N_i = max(N γ^-i, 2 K) new plans in iteration i = 0, 1, …
        μ ← α μ + (1 - α) mean(elites),   σ ← α σ + (1 - α) std(elites)

    A share ξ of an iteration's elites competes again in the next, and the mean joins the
    last population. Plans are clipped at the action limits. The original also shifts elites
    by a step between calls at successive environment steps: a plan here is made once.
    Candidate k is the best plan of the k-th population.

    Attributes:
        samples: N.
        elites: K, plans that mean and deviation move to.
        iterations: refits of one run, before a restart.
        sigma: initial standard deviation, normalised action units.
        colour: β; 0 is white noise, larger values move slower.
        decay: γ, at least 1.
        momentum: α, at most 1.
        kept: ξ, at most 1.
    """  # noqa: RUF002

    name: ClassVar[str] = "icem"
    search_space: ClassVar[SearchSpace] = {
        "samples": IntRange(32, 512),
        "elites": IntRange(4, 32),
        "iterations": IntRange(5, 60),
        "sigma": FloatRange(0.3, 2.0),
        "colour": FloatRange(0.0, 4.0, log=False),
    }

    colour: float = 2.0
    decay: float = 1.25
    momentum: float = 0.1
    kept: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("decay", low=1.0)
        self.check_range("momentum", high=1.0)
        self.check_range("kept", high=1.0)

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        mean, deviation = self._first(problem)
        plans, costs = mean[:, None][:, :0], mean.new_zeros(problem.batch, 0)
        for iteration in range(self.iterations):
            count = max(int(self.samples / self.decay**iteration), 2 * self.elites)
            draws = coloured_noise(noise, self.colour, count, *mean.shape[1:], like=mean)
            if iteration == self.iterations - 1:
                draws[:, 0] = 0
            fresh = problem.project_(mean[:, None] + deviation[:, None] * draws)
            with torch.no_grad():
                fresh_costs = population_cost(problem, fresh, self.elites)
            plans, costs = torch.cat([fresh, plans], dim=1), torch.cat([fresh_costs, costs], dim=1)
            plans, costs = cheapest(plans, costs, self.elites)
            mean = mean.lerp(plans.mean(dim=1), 1 - self.momentum)
            deviation = deviation.lerp(plans.std(dim=1), 1 - self.momentum)
            yield Candidate(plans[:, 0], costs[:, 0], iteration + 1)
            survivors = int(self.kept * self.elites)
            plans, costs = plans[:, :survivors], costs[:, :survivors]
