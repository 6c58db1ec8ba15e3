"""iCEM, the improved cross-entropy method (Pinneri et al., CoRL 2020, arXiv 2008.06389)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.objective import goal_cost
from grasp_bench.planners.base import check_elites, check_numbers, check_range, restarts
from grasp_bench.planners.cem import cheapest
from grasp_bench.planners.colour import coloured_noise
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace
from grasp_bench.types import Candidate, NoiseStreams, Problem, Reference


@dataclass(frozen=True)
class ICEM:
    """CEM with coloured noise, elites that live on, shrinking populations and momentum.

        plans_i = μ + σ ⊙ ε,  ε coloured over time: power spectral density ∝ 1/f^β
        N_i = max(N γ^-i, 2 K) new plans in iteration i = 0, 1, …
        μ ← α μ + (1 - α) mean(elites),   σ ← α σ + (1 - α) std(elites)

    A share ξ of an iteration's elites competes again in the next, and the mean joins the
    last population. The original also shifts elites by a step between calls at successive
    environment steps and clips at action limits: a plan here is made once, and normalised
    actions have no limits. Candidate k is the best plan of the k-th population.

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
    reference: ClassVar[Reference] = "none"
    search_space: ClassVar[SearchSpace] = {
        "samples": IntRange(32, 512),
        "elites": IntRange(4, 32),
        "iterations": IntRange(5, 60),
        "sigma": FloatRange(0.3, 2.0),
        "colour": FloatRange(0.0, 4.0, log=False),
    }

    samples: int = 300
    elites: int = 30
    iterations: int = 30
    sigma: float = 1.0
    colour: float = 2.0
    decay: float = 1.25
    momentum: float = 0.1
    kept: float = 0.3

    def __post_init__(self) -> None:
        check_numbers(self)
        check_elites(self, self.elites, self.samples)
        check_range(self, "decay", low=1.0)
        check_range(self, "momentum", high=1.0)
        check_range(self, "kept", high=1.0)

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """One candidate per refit, without end."""
        return restarts(lambda: self._run(problem, noise))

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        shape = (problem.batch, problem.steps, problem.model.action_dim)
        mean = problem.start.new_zeros(shape)
        deviation = problem.start.new_full(shape, self.sigma)
        plans, costs = mean.new_zeros(problem.batch, 0, *shape[1:]), mean.new_zeros(shape[0], 0)
        for iteration in range(self.iterations):
            fresh = self._sample(iteration, mean, deviation, noise)
            with torch.no_grad():
                fresh_costs = goal_cost(problem, fresh)
            plans, costs = torch.cat([fresh, plans], dim=1), torch.cat([fresh_costs, costs], dim=1)
            plans, costs = cheapest(plans, costs, self.elites)
            mean = mean.lerp(plans.mean(dim=1), 1 - self.momentum)
            deviation = deviation.lerp(plans.std(dim=1), 1 - self.momentum)
            yield Candidate(plans[:, 0], costs[:, 0], iteration + 1)
            survivors = int(self.kept * self.elites)
            plans, costs = plans[:, :survivors], costs[:, :survivors]

    def _sample(
        self, iteration: int, mean: Tensor, deviation: Tensor, noise: NoiseStreams
    ) -> Tensor:
        """New plans [B, N_i, T, A]; in the last iteration the mean is the first of them."""
        count = max(int(self.samples / self.decay**iteration), 2 * self.elites)
        draws = coloured_noise(noise, self.colour, count, *mean.shape[1:], like=mean)
        if iteration == self.iterations - 1:
            draws[:, 0] = 0
        return mean[:, None] + deviation[:, None] * draws
