"""Plans by LatCo as published: Gauss-Newton and dual ascent (Rybkin et al., ICML 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners._numerics.path_least_squares import linearised, metric_weights
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner, evaluated

DUAL_RATE, DUAL_SHARE, TOLERATED = 0.1, 0.1, 1e-4  # of the multiplier rule, as published


@dataclass(frozen=True)
class LatCoGN(RestartingPlanner):
    """Solves least squares over states and actions; its multipliers follow the violations.

        v_t = ‖F(s_t, a_t) - s_{t+1}‖²,   u_t = ‖max(|a_t| - a_max, 0)‖²
        L   = ‖s_T - g‖² + Σ_t λ_t v_t + Σ_t κ_t u_t = ‖r(x)‖²,   x = (a_0, s_1, …, s_T)
        x   ← x - (JᵀJ + μ D)⁻¹ Jᵀ r,   J = ∂r/∂x
        λ_t ← λ_t + 0.1 λ_t log10((v_t + 0.1 ε) / ε),   ε = 10⁻⁴, κ_t alike with u_t

    v_t and u_t are those that the step set out from. With x ordered by time, JᵀJ has blocks
    (a_t, s_{t+1}) of width A + Z on its diagonal and one beside: a block-tridiagonal system.
    As in `LatCo` the plan starts as N(0, I), the start is fixed, the last state is not, and
    its goal cost stands for the original's reward.

    Squared norms are `WorldModel.distance`, which must be a weighted sum Σ_i w_i d_i² over
    the latent, and the mean over the entries of an action. D holds w_i at states and the
    mean of w at actions, so damping means the same whatever the latent's size.

    A step evaluates T Z model rows forward and backward for ∂F/∂(s, a) and factorises T
    matrices of width A + Z in double precision: at T = 16 on one core of an AMD EPYC 15 ms for
    the 14 numbers of `pusht-compact`, 13 s for 1028. A problem whose equations
    have no solution in that precision stands still until its restart.

    Attributes:
        iterations: Gauss-Newton steps of one run, before a restart.
        damping: μ.
        action_limit: a_max, normalised action units: deviations of the training actions. What
            is left beyond the environment's limits is cut off a candidate.
        initial_multiplier: first λ_t and κ_t of every step.
        yield_every: iterations between two candidates.
    """

    name: ClassVar[str] = "latco-gn"
    search_space: ClassVar[SearchSpace] = {
        "iterations": IntRange(5, 200),
        "damping": FloatRange(1e-5, 0.1),
        "action_limit": FloatRange(1.0, 5.0),
        "initial_multiplier": FloatRange(0.1, 100.0),
    }

    iterations: int = 200
    damping: float = 1e-3
    action_limit: float = 3.0
    initial_multiplier: float = 1.0
    yield_every: int = 1

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        weights = metric_weights(problem)
        latent = problem.model.latent_shape
        states = noise.normal(problem.steps, *latent, like=problem.start)
        actions = noise.normal(problem.steps, problem.model.action_dim, like=problem.start)
        multipliers = states.new_full((2, *actions.shape[:2]), self.initial_multiplier).double()
        for iteration in range(1, self.iterations + 1):
            system = linearised(problem, states, actions, weights, self.action_limit)
            by_action, by_state = system.step(multipliers, self.damping)
            actions += by_action.to(actions)
            states += by_state.to(states).reshape(states.shape)
            multipliers = ascended(multipliers, system.violations())
            if iteration % self.yield_every == 0 or iteration == self.iterations:
                yield evaluated(problem, problem.project(actions), iteration, states[:, :-1])


def ascended(multipliers: Tensor, violations: Tensor) -> Tensor:
    """Returns λ + 0.1 λ log10((v + 0.1 ε) / ε): grows where v > 0.9 ε and shrinks below."""
    excess = (violations + DUAL_SHARE * TOLERATED) / TOLERATED
    return multipliers * (1 + DUAL_RATE * excess.log10())
