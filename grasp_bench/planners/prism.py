"""Plans by MPPI fused with a learned prior as a product of Gaussians, after PRISM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners.cem import cheapest
from grasp_bench.planners.mppi import weighted_mean
from grasp_bench.planners.objective import population_cost
from grasp_bench.planners.proposals import chooser, chosen
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner

_MOMENT_SAMPLES, _LEAST_DEVIATION = 32, 0.02  # normalised action units


@dataclass(frozen=True)
class PRISM(RestartingPlanner):
    """Samples around the plan and the prior at once, and moves to the weighted mean.

        π_t = N(μ_t, ν_t²), the moments of the prior at the states s_t(u) of the plan
        1/ς² = 1/σ² + w/ν²,   m = ς² (u/σ² + w μ/ν²)      product of N(u, σ²) and π^w
        a_n ~ N(m, ς²),   u ← Σ_n softmax(-‖s_T(a_n) - g‖² / λ) a_n

    PRISM (arXiv 2606.07974) fuses a goal-conditioned Gaussian prior on frozen latents with
    MPPI so, in closed loop; here one plan is improved again and again, and the moments are
    those of samples, as the prior at hand is a mixture. The first u is the prior's mean along
    its own rollout. Without a prior π_t = N(0, I). Candidate k is the cheaper of u and the best
    sample after k updates.

    Attributes:
        samples: N.
        iterations: updates of one run, before a restart.
        sigma: σ, normalised action units.
        prior_weight: w.
        temperature: λ, in units of the goal cost.
    """  # noqa: RUF002

    name: ClassVar[str] = "prism"
    uses_prior: ClassVar[bool] = True
    search_space: ClassVar[SearchSpace] = {
        "samples": IntRange(16, 512),
        "iterations": IntRange(3, 100),
        "sigma": FloatRange(0.1, 2.0),
        "prior_weight": FloatRange(0.01, 3.0),
        "temperature": FloatRange(0.0001, 0.1),
    }

    samples: int = 128
    iterations: int = 20
    sigma: float = 0.5
    prior_weight: float = 1.0
    temperature: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("sigma", "temperature"):
            self.check_range(field, 1e-6)

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        mean, deviation = self._moments(problem, noise, None)
        plan = mean
        for iteration in range(1, self.iterations + 1):
            precision, prior_precision = self.sigma**-2, self.prior_weight * deviation**-2
            fused = (precision + prior_precision).rsqrt()
            centre = fused.square() * (precision * plan + prior_precision * mean)
            draws = noise.normal(self.samples, *plan.shape[1:], like=plan)
            population = problem.project_(centre[:, None] + fused[:, None] * draws)
            population[:, 0] = plan
            with torch.no_grad():
                costs = population_cost(problem, population, 1)
            best, cost = cheapest(population, costs, 1)
            yield Candidate(best[:, 0], cost[:, 0], iteration)
            plan = weighted_mean(population, costs, self.temperature)
            mean, deviation = self._moments(problem, noise, plan)

    def _moments(
        self, problem: Problem, noise: NoiseStreams, plan: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Returns the prior's means and deviations [B, T, A] at the states of a plan [B, T, A].

        Without a plan, the means are the plan.
        """
        sample = chooser(problem, noise, _MOMENT_SAMPLES, 1.0)
        means: list[Tensor] = []
        deviations: list[Tensor] = []

        def follow(t: int, state: Tensor) -> Tensor:
            actions = sample(t, state.expand(-1, _MOMENT_SAMPLES, *state.shape[2:]))
            means.append(problem.project(actions.mean(dim=1)))
            deviations.append(actions.std(dim=1).clamp(min=_LEAST_DEVIATION))
            return (means[-1] if plan is None else plan[:, t])[:, None]

        chosen(problem, 1, follow)
        return torch.stack(means, dim=1), torch.stack(deviations, dim=1)
