"""Makes plans from a learned prior: each action proposed where the ones before it lead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Problem
from grasp_bench.planners.objective import end_cost
from grasp_bench.planners.rollout import guided_rollout, spread

# a_t [B, n, A] for t and the s_t [B, n, *Z] of the first n plans.
Chooser = Callable[[int, Tensor], Tensor]


class Population(NamedTuple):
    """Holds plans [B, N, T, A], the s_0 .. s_{T-1} [B, N, T, *Z] they visit, costs [B, N]."""

    plans: Tensor
    states: Tensor
    costs: Tensor

    def cheapest(self, number: int) -> Population:
        """Returns the plans of lowest cost, cheapest first."""
        _, places = self.costs.topk(min(number, self.costs.shape[1]), largest=False)
        return self.members(places)

    def members(self, places: Tensor) -> Population:
        """Returns the plans at places [B, n]."""
        problems = torch.arange(len(places), device=places.device)[:, None]
        return Population(*(part[problems, places] for part in self))

    def joined(self, other: Population) -> Population:
        """Returns these plans and then the others."""
        return Population(*(torch.cat(pair, dim=1) for pair in zip(self, other, strict=True)))


def proposed(
    problem: Problem, noise: NoiseStreams, size: int, temperature: float, use_prior: bool = True
) -> Population:
    """Proposes N whole plans; for the arguments see `chooser`."""
    return chosen(problem, size, chooser(problem, noise, size, temperature, use_prior))


def chosen(problem: Problem, size: int, choose: Chooser) -> Population:
    """Rolls out N plans that choose every action where the ones before it lead."""
    steps, width = problem.steps, problem.model.action_dim
    states = spread(problem.model, problem.start, torch.Size((problem.batch, size, steps)))
    plans = problem.start.new_zeros(problem.batch, size, steps, width)
    return guided(problem, plans, states, [0] * size, choose)


@torch.no_grad()
def guided(
    problem: Problem, plans: Tensor, states: Tensor, leaves: Sequence[int], choose: Chooser
) -> Population:
    """Rolls out plans that follow given ones until they leave them, then choose."""

    def within_limits(t: int, state: Tensor) -> Tensor:
        return problem.project(choose(t, state))

    return costed(problem, *guided_rollout(problem.model, plans, states, leaves, within_limits))


def costed(problem: Problem, plans: Tensor, states: Tensor, ends: Tensor) -> Population:
    """Costs plans by their states s_0 .. s_{T-1} [B, N, T, *Z] and s_T [B, N, *Z]."""
    before = problem.steps + 1 - min(problem.objective.goal_steps, problem.steps)
    costs = end_cost(problem, [*states[:, :, before:].unbind(dim=2), ends])
    return Population(plans, states, costs)


def chooser(
    problem: Problem, noise: NoiseStreams, size: int, temperature: float, use_prior: bool = True
) -> Chooser:
    """Returns what chooses the actions of N plans: the prior, or standard normal draws.

    Args:
        problem: without a prior, actions are standard normal.
        noise: drawn from here, once for all steps.
        size: N.
        temperature: of the prior.
        use_prior: False does as if there was none.
    """
    prior, steps = problem.prior if use_prior else None, problem.steps
    width = problem.model.action_dim if prior is None else prior.draws
    draws = noise.normal(size, steps, width, like=problem.goal)
    if prior is None:
        return lambda t, state: draws[:, : state.shape[1], t]
    goal = spread(problem.model, problem.goal, torch.Size((problem.batch, size)))
    return lambda t, state: prior.sample(
        state, goal[:, : state.shape[1]], steps - t, draws[:, : state.shape[1], t], temperature
    )
