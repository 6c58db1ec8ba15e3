"""Draws adversarial states: where a state goes when it follows the gradient through the model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from grasp_bench.analysis.result_figures.drawing import Drawing
from grasp_bench.core.types import Problem
from grasp_bench.planners.shared import variable
from grasp_bench.trial.replay import RecordedTrial
from grasp_bench.viewing.plan_figures import about
from grasp_bench.viewing.plan_figures.strips import Strip, latent_pictures, strips_figure

FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)


def adversarial_states(problem: Problem, fractions: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Computes s' = s - ε ∇_s ‖F(s, 0) - g‖² at the start of one problem, and F(s', 0).

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
    """Draws the states s' decoded, and where the model says they lead without an action.

    Raises:
        UserError: the model has no decoder.
    """
    problem = trial.problem
    states, successors = adversarial_states(problem, FRACTIONS)
    with torch.no_grad():
        moved = problem.model.distance(states, problem.start.expand_as(states)).tolist()
        left = problem.model.distance(successors, problem.goal.expand_as(successors)).tolist()
    strips = [
        Strip(label, latent_pictures(trial, latents), [f"{d:.2g}" for d in distances])
        for label, latents, distances in (("s'", states, moved), ("F(s', 0)", successors, left))
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
