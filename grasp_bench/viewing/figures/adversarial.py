"""Adversarial states: where a state goes when it follows the gradient through the model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from grasp_bench.errors import UserError
from grasp_bench.planners.base import variable
from grasp_bench.recreate import RecordedTrial
from grasp_bench.report.figures.drawing import Drawing
from grasp_bench.types import Problem
from grasp_bench.viewing.figures.about import about
from grasp_bench.viewing.figures.strips import Strip, strips_figure
from grasp_bench.viewing.pictures import decoded, over_goal

FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
PICTURE = 128


def adversarial_states(problem: Problem, fractions: Sequence[float]) -> tuple[Tensor, Tensor]:
    """s' = s - ε ∇_s ‖F(s, 0) - g‖² at the start of one problem, and F(s', 0).

    ε is the fraction times Polyak's step ‖F(s, 0) - g‖² / ‖∇‖², at which a linear loss
    would be zero. Zero is the mean action of the model's training data.

    Returns:
        [N, *Z] states s' and [N, *Z] their successors.
    """
    model, goal = problem.model, problem.goal
    idle = problem.start.new_zeros(1, model.action_dim)
    with torch.enable_grad():
        state = variable(problem.start)
        loss = model.distance(model.step(state, idle), goal)
        (gradient,) = torch.autograd.grad(loss.sum(), state)
    polyak = loss.detach() / gradient.square().sum().clamp_min(1e-12)
    with torch.no_grad():
        moved = torch.cat([problem.start - share * polyak * gradient for share in fractions])
        return moved, model.step(moved, idle.expand(len(moved), -1))


def draw_adversarial(trial: RecordedTrial) -> Drawing:
    """Two strips: the states s' decoded, and where the model says they lead without an action.

    Raises:
        UserError: the model has no decoder.
    """
    problem, task = trial.problem, trial.task
    states, successors = adversarial_states(problem, FRACTIONS)
    pictures, reached = decoded(problem.model, states), decoded(problem.model, successors)
    if pictures is None or reached is None:
        raise UserError(
            f"the world model '{trial.model.name}' has no decoder, so its latents make no pictures"
        )
    with torch.no_grad():
        moved = problem.model.distance(states, problem.start.expand_as(states)).tolist()
        left = problem.model.distance(successors, problem.goal.expand_as(successors)).tolist()
    strips = [
        Strip("s'", over_goal(pictures, task.goal_state, PICTURE), [f"{d:.2g}" for d in moved]),
        Strip("F(s', 0)", over_goal(reached, task.goal_state, PICTURE), [f"{d:.2g}" for d in left]),
    ]
    return Drawing(
        title="Adversarial states",
        caption="s' = s - ε ∇‖F(s, 0) - g‖² from the task's start, in fractions of Polyak's "
        "step. Upper row: s' and its distance ‖s' - s‖² from the start; lower row: the state the "
        f"model predicts next with no action, and its distance to the goal. {about(trial)}",
        alt="Two rows of decoded pictures. Distance to the goal after one step: "
        + ", ".join(f"{d:.2g} at {share:g}" for share, d in zip(FRACTIONS, left, strict=True))
        + ".",
        figure=strips_figure([f"{share:g} x" for share in FRACTIONS], strips),
    )
