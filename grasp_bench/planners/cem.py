"""Plans by the cross-entropy method on actions, as DINO-WM does (arXiv 2411.04983)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners.objective import population_cost
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner, evaluated


@dataclass(frozen=True)
class CEM(RestartingPlanner):
    """Samples plans around a mean, keeps the best, refits mean and deviation to them, repeats.

    The first mean is zero in normalised units. Samples are moved to the action limits that
    they exceed, before they are judged. Candidate k is the mean after k refits; it
    is also the first sample of the next population, which is where its cost comes from.

    Attributes:
        samples: N, plans per iteration and problem.
        elites: K, plans the Gaussian is refitted to.
        iterations: refits of one run, before a restart.
        sigma: initial standard deviation, normalised action units.
    """

    name: ClassVar[str] = "cem"
    search_space: ClassVar[SearchSpace] = {
        "samples": IntRange(32, 512),
        "elites": IntRange(4, 32),
        "iterations": IntRange(5, 60),
        "sigma": FloatRange(0.3, 2.0),
    }

    samples: int = 300
    elites: int = 30
    iterations: int = 30
    sigma: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("elites", 2, self.samples)  # one plan has no standard deviation

    def _first(self, problem: Problem) -> tuple[Tensor, Tensor]:
        """Returns the first mean and deviation [B, T, A]."""
        mean = problem.start.new_zeros(problem.batch, problem.steps, problem.model.action_dim)
        return mean, torch.full_like(mean, self.sigma)

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        mean, deviation = self._first(problem)
        for iteration in range(self.iterations):
            previous = mean
            mean, deviation, cost = refitted(
                problem, mean, deviation, self.samples, self.elites, noise
            )
            yield Candidate(previous, cost, iteration)
        yield evaluated(problem, mean, self.iterations)


def refitted(
    problem: Problem,
    mean: Tensor,
    deviation: Tensor,
    samples: int,
    elites: int,
    noise: NoiseStreams,
    with_mean: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns mean and deviation [B, T, A] after an iteration, and the cost [B] of the old mean.

    All B * N samples are rolled out together. Without the mean among them, the cost is that of
    the first sample.
    """
    population = sample(problem, mean, deviation, samples, noise, with_mean)
    with torch.no_grad():
        costs = population_cost(problem, population, elites)
    return *refit(population, costs, elites), costs[:, 0].clone()


def sample(
    problem: Problem,
    mean: Tensor,
    deviation: Tensor,
    samples: int,
    noise: NoiseStreams,
    with_mean: bool = True,
) -> Tensor:
    """Draws a population [B, N, T, A] of Gaussian plans within the limits, the mean first."""
    steps, action_dim = mean.shape[-2:]
    draws = noise.normal(samples, steps, action_dim, like=mean)
    if with_mean:
        draws[:, 0] = 0
    return problem.project_(mean[:, None] + deviation[:, None] * draws)


def refit(population: Tensor, costs: Tensor, elites: int) -> tuple[Tensor, Tensor]:
    """Returns mean and standard deviation [B, T, A] of the plans of lowest cost.

    Takes a population [B, N, T, A] and its costs [B, N].
    """
    chosen, _ = cheapest(population, costs, elites)
    return chosen.mean(dim=1), chosen.std(dim=1)


def cheapest(population: Tensor, costs: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns the cheapest of plans [B, N, T, A] and of costs [B, N], the lowest cost first."""
    lowest, places = costs.topk(count, dim=1, largest=False)
    return population.take_along_dim(places[:, :, None, None], dim=1), lowest
