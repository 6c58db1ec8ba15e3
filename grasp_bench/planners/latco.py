"""Plans by direct collocation in the latent space, after LatCo (Rybkin et al., ICML 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners._numerics.adam import Adam
from grasp_bench.planners.objective import dynamics_defect, end_cost
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner, evaluated, variable


@dataclass(frozen=True)
class LatCo(RestartingPlanner):
    """Descends on states and actions, and ascends on the multipliers of the dynamics.

        v_t = ‖F(s_t, a_t) - s_{t+1}‖²
        L   = ‖s_T - g‖² + Σ_t λ_t v_t
        (s, a) ← Adam step on ∇L, a within the limits,   λ_t ← λ_t + v_t

    This is the gradient variant of the original method. From there come the plan of
    standard normal states s_1 .. s_T and actions, the Adam rate and the multiplier rule.
    The start is fixed, the last state is not: its goal cost stands for the original's
    negated reward. Squared norms are `WorldModel.distance`. Gradients are full:
    unlike GRASP's they also reach s_t through F, which is the comparison the paper makes.

    Attributes:
        lr: Adam's step size for states and actions.
        iterations: steps of one run, before a restart.
        initial_multiplier: first λ_t of every step.
        yield_every: iterations between two candidates.
    """

    name: ClassVar[str] = "latco"
    search_space: ClassVar[SearchSpace] = {
        "lr": FloatRange(0.01, 0.3),
        "iterations": IntRange(50, 1000),
        "initial_multiplier": FloatRange(0.1, 100.0),
        "yield_every": IntRange(2, 20),
    }

    lr: float = 0.05
    iterations: int = 200
    initial_multiplier: float = 1.0
    yield_every: int = 10

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        model, steps = problem.model, problem.steps
        states = noise.normal(steps, *model.latent_shape, like=problem.start)
        actions = noise.normal(steps, model.action_dim, like=problem.start)
        multipliers = states.new_full((problem.batch, steps), self.initial_multiplier)
        adam_states = Adam(states, self.lr)
        adam_actions = Adam(problem.project_(actions), self.lr)
        for iteration in range(1, self.iterations + 1):
            with torch.enable_grad():
                path, plan = variable(states), variable(actions)
                cost, violation = collocation(problem, path, plan)
                lagrangian = cost + (multipliers * violation).sum(dim=1)
                by_state, by_action = torch.autograd.grad(lagrangian.sum(), (path, plan))
            adam_states.step(by_state)
            adam_actions.step(by_action)
            problem.project_(actions)
            multipliers += violation.detach()
            if iteration % self.yield_every == 0 or iteration == self.iterations:
                yield evaluated(problem, actions, iteration, states[:, :-1])


def collocation(problem: Problem, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Returns ‖s_T - g‖² [B] and the violations v_t [B, T] of a path s_1 .. s_T [B, T, *Z]."""
    model = problem.model
    origins = torch.cat([problem.start[:, None], states[:, :-1]], dim=1)
    violation = dynamics_defect(model, origins, actions, states)
    ends = states[:, -problem.objective.goal_steps :].unbind(dim=1)
    return end_cost(problem, ends), violation
