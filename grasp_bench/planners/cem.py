"""The cross-entropy method on actions, as DINO-WM uses it (arXiv 2411.04983)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.objective import goal_cost
from grasp_bench.planners.base import check_elites, check_numbers, evaluated, restarts
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace
from grasp_bench.types import Candidate, NoiseStreams, Problem, Reference


@dataclass(frozen=True)
class CEM:
    """Sample plans around a mean, keep the best, refit mean and deviation to them, repeat.

    The first mean is zero in normalised units. Candidate k is the mean after k refits; it
    is also the first sample of the next population, which is where its cost comes from.

    Attributes:
        samples: N, plans per iteration and problem.
        elites: K, plans the Gaussian is refitted to.
        iterations: refits of one run, before a restart.
        sigma: initial standard deviation, normalised action units.
    """

    name: ClassVar[str] = "cem"
    reference: ClassVar[Reference] = "none"
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
        check_numbers(self)
        check_elites(self, self.elites, self.samples)

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """One candidate per refit, without end."""
        return restarts(lambda: self._run(problem, noise))

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        shape = (problem.batch, problem.steps, problem.model.action_dim)
        mean = problem.start.new_zeros(shape)
        deviation = problem.start.new_full(shape, self.sigma)
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
) -> tuple[Tensor, Tensor, Tensor]:
    """One iteration: mean and deviation [B, T, A] after it, and the cost [B] of the old mean.

    All B * N samples are rolled out together.
    """
    population = sample(mean, deviation, samples, noise)
    with torch.no_grad():
        costs = goal_cost(problem, population)
    return *refit(population, costs, elites), costs[:, 0].clone()


def sample(mean: Tensor, deviation: Tensor, samples: int, noise: NoiseStreams) -> Tensor:
    """A population [B, N, T, A] of the Gaussian plans [B, T, A], the mean itself first."""
    steps, action_dim = mean.shape[-2:]
    draws = noise.normal(samples, steps, action_dim, like=mean)
    draws[:, 0] = 0
    return mean[:, None] + deviation[:, None] * draws


def refit(population: Tensor, costs: Tensor, elites: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [B, T, A] of the plans of lowest cost.

    Takes a population [B, N, T, A] and its costs [B, N].
    """
    chosen, _ = cheapest(population, costs, elites)
    return chosen.mean(dim=1), chosen.std(dim=1)


def cheapest(population: Tensor, costs: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The plans of lowest cost and their costs, of [B, N, T, A] and [B, N], cheapest first."""
    lowest, places = costs.topk(count, dim=1, largest=False)
    return population.take_along_dim(places[:, :, None, None], dim=1), lowest
