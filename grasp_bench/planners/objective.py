"""Computes what planners minimise: the goal cost of a rollout and the defect of a lifted path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import Problem, WorldModel
from grasp_bench.planners.rollout import last_states, spread


def goal_cost(problem: Problem, actions: Tensor) -> Tensor:
    """Computes the distance of the serial rollout's last state to the goal, ‖s_T(a) - g‖².

    With an objective of several goal steps it is the mean over the last states. Actions
    [B, ..., T, A] give costs [B, ...]; differentiable with respect to the actions.
    """
    ends = last_states(problem.model, problem.start, actions, problem.objective.goal_steps)
    return end_cost(problem, ends)


def population_cost(problem: Problem, plans: Tensor, chosen: int) -> Tensor:
    """Computes the goal costs [B, N] of plans [B, N, T, A], of which the cheapest will be used.

    A model with a `rough` form costs all plans in that, and costs the `chosen` cheapest and the
    first of each problem again itself. Every other plan then has a higher cost than the chosen.
    """
    rough = getattr(problem.model, "rough", None)
    if rough is None:
        return goal_cost(problem, plans)
    costs, chosen = goal_cost(replace(problem, model=rough), plans), min(chosen, plans.shape[1])
    places = costs.topk(chosen, dim=1, largest=False).indices
    places = torch.cat([places, torch.zeros_like(places[:, :1])], dim=1)
    exact = goal_cost(problem, plans.take_along_dim(places[:, :, None, None], dim=1))
    highest = exact[:, :chosen].amax(dim=1, keepdim=True)
    above = highest.nextafter(torch.full_like(highest, torch.inf))
    return costs.maximum(above).scatter(1, places, exact)


def end_cost(problem: Problem, ends: Sequence[Tensor]) -> Tensor:
    """Computes the mean distance [B, ...] to the goal of the last states, [B, ..., *Z] each."""
    rank = len(problem.model.latent_shape)
    goal = spread(problem.model, problem.goal, ends[-1].shape[: ends[-1].ndim - rank])
    costs = [goal_distance(problem, end, goal) for end in ends]
    return costs[0] if len(costs) == 1 else torch.stack(costs).mean(dim=0)


def goal_distance(problem: Problem, states: Tensor, goals: Tensor) -> Tensor:
    """Computes ‖s - g‖² [...] of states and goals [..., *Z] as the objective weighs its parts.

    Raises:
        UserError: the model's distance has no parts to weigh.
    """
    model, weight = problem.model, problem.objective.proprio_weight
    weighted = getattr(model, "goal_distance", None)
    if weighted is not None:
        distance: Tensor = weighted(states, goals, weight)
        return distance
    if weight != 1.0:
        raise UserError("this world model's distance has no proprioceptive part to weigh")
    return model.distance(states, goals)


def goal_gradient(problem: Problem, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the goal cost [B, ...] of actions [B, ..., T, A] and its gradient, detached.

    The gradient runs through the whole serial rollout. The sum over plans leaves each plan
    its own gradient, so the batch size changes nothing.
    """
    with torch.enable_grad():
        variable = actions.detach().requires_grad_()
        cost = goal_cost(problem, variable)
        (gradient,) = torch.autograd.grad(cost.sum(), variable)
    return cost.detach(), gradient


def dynamics_defect(
    model: WorldModel, states: Tensor, actions: Tensor, successors: Tensor
) -> Tensor:
    """Computes how far each transition is from the model's, ‖F(s_t, a_t) - s_{t+1}‖².

    States [B, T, *Z], actions [B, T, A] and successors [B, T, *Z] give defects [B, T], all
    transitions in one call of the model.
    """
    return model.distance(model.step(states, actions), successors)
