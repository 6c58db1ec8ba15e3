"""Plans by model predictive path integral control, open loop (Williams et al., ICRA 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners.cem import cheapest, sample
from grasp_bench.planners.objective import population_cost
from grasp_bench.planners.search_space import Choice, FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner, evaluated


@dataclass(frozen=True)
class MPPI(RestartingPlanner):
    """Moves to the mean over all sampled plans, weighted by how cheap they are.

        ε_n ~ N(0, σ² I),   S_n = ‖s_T(u + ε_n) - g‖²
        w_n ∝ exp(-(S_n - min S) / λ),   u ← u + Σ_n w_n ε_n

    This is "Information theoretic MPC for model-based reinforcement learning", Algorithm 2,
    with the passive dynamics at the current plan (its α = 1), which leaves no cost of
    control. The original updates u once per environment step and shifts it; here it is
    updated again and again for one plan, and `decay` may narrow the search meanwhile.
    Candidate k is u after k updates; it is the first sample of the next population, which
    is where its cost comes from.

    Attributes:
        samples: N, plans per update and problem.
        iterations: updates of one run, before a restart.
        sigma: σ of the first update, normalised action units.
        decay: factor of σ after each update, at most 1; 1 as published.
        temperature: λ, in units of the goal cost; greater than 0.
        elites: weighs the cheapest plans only, as TD-MPC (Hansen et al., arXiv 2203.04955) does;
            `none`, as published, weighs all.
    """  # noqa: RUF002

    name: ClassVar[str] = "mppi"
    search_space: ClassVar[SearchSpace] = {
        "samples": IntRange(32, 512),
        "iterations": IntRange(20, 300),
        "sigma": FloatRange(0.1, 2.0),
        "decay": FloatRange(0.8, 1.0),
        "temperature": FloatRange(0.0001, 0.1),
        "elites": Choice((None, 8, 32)),
    }

    samples: int = 300
    iterations: int = 100
    sigma: float = 0.5
    decay: float = 1.0
    temperature: float = 0.01
    elites: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("decay", high=1.0)
        if self.temperature == 0:
            raise UserError("mppi: temperature must be greater than 0")

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        plan = problem.start.new_zeros(problem.batch, problem.steps, problem.model.action_dim)
        for iteration in range(self.iterations):
            deviation = torch.full_like(plan, self.sigma * self.decay**iteration)
            population = sample(problem, plan, deviation, self.samples, noise)
            with torch.no_grad():
                costs = population_cost(problem, population, self.elites or 1)
            yield Candidate(plan, costs[:, 0].clone(), iteration)
            kept = min(self.elites or self.samples, self.samples)
            plan = weighted_mean(*cheapest(population, costs, kept), self.temperature)
        yield evaluated(problem, plan, self.iterations)


def weighted_mean(population: Tensor, costs: Tensor, temperature: float) -> Tensor:
    """Returns the mean [B, T, A] of [B, N, T, A] with weights softmax(-costs [B, N] / λ)."""
    weights = torch.softmax(-costs / temperature, dim=1)
    return (weights[:, :, None, None] * population).sum(dim=1)
