"""Computes what planners minimise: the goal cost of a rollout and the defect of a lifted path."""

from __future__ import annotations

import torch
from torch import Tensor

from grasp_bench.core.types import Problem, WorldModel
from grasp_bench.planners.rollout import last_state, spread


def goal_cost(problem: Problem, actions: Tensor) -> Tensor:
    """Computes the distance of the serial rollout's last state to the goal, ‖s_T(a) - g‖².

    Actions [B, ..., T, A] give costs [B, ...]; differentiable with respect to the actions.
    """
    model = problem.model
    goal = spread(model, problem.goal, actions.shape[:-2])
    return model.distance(last_state(model, problem.start, actions), goal)


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
