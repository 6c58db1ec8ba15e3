"""Draws goal cost and dynamics defect over a planner's iterations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from grasp_bench.analysis.result_figures.drawing import Drawing, new_figure, style
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners.objective import dynamics_defect
from grasp_bench.trial.replay import RecordedTrial
from grasp_bench.viewing.plan_figures import about


def draw_traces(trials: Sequence[tuple[RecordedTrial, Sequence[Candidate]]]) -> Drawing:
    """Draws the goal cost of each candidate and of the best so far, beside the path's defect.

    Takes trials, each with its candidates (see `history`). Costs are those of a serial
    rollout of the model, whatever the planner.
    """
    figure = new_figure(8.0, 3.6)
    costs, defects = figure.subplots(1, 2)
    words = []
    for place, (trial, candidates) in enumerate(trials):
        label, look = str(trial.row["planner_label"]), style(place)
        iterations = np.array([max(candidate.iteration, 1) for candidate in candidates])
        cost = np.array([float(candidate.cost[0]) for candidate in candidates])
        best = np.fmin.accumulate(cost)
        costs.plot(iterations, cost, color=look.colour, alpha=0.4, linewidth=0.8)
        line = {"color": look.colour, "marker": look.marker, "markersize": 4, "markevery": 0.15}
        costs.plot(iterations, best, label=label, **line)
        defect = [path_defect(trial.problem, candidate) for candidate in candidates]
        if all(value is not None for value in defect):
            defects.plot(iterations, np.array(defect, dtype=np.float64), **line)
        words.append(f"{label}: from {cost[0]:.3g} to {best[-1]:.3g}")
    for axes, name in ((costs, "goal cost"), (defects, "mean dynamics defect")):
        axes.set(xscale="log", yscale="log", xlabel="iteration", ylabel=name)
        axes.grid(alpha=0.3)
    if not defects.lines:
        defects.set_visible(False)
    figure.legend(*costs.get_legend_handles_labels(), loc="outside upper center", fontsize="small")
    return Drawing(
        title="Cost and defect over iterations",
        caption="Left: the goal cost the model predicts for every candidate plan (faint) and for "
        "the best so far. Right: how far the planner's virtual states are from the model's "
        f"transitions. {about(*(trial for trial, _ in trials))}",
        alt=f"Line charts on logarithmic axes. Goal cost of the best plan: {'; '.join(words)}.",
        figure=figure,
    )


def path_defect(problem: Problem, candidate: Candidate) -> float | None:
    """Computes the mean defect ‖F(s_t, a_t) - s_{t+1}‖² over the start and the virtual states.

    Of the first problem; None for a planner without virtual states, or with one step.
    """
    states = candidate.virtual_states
    if states is None or states.shape[1] == 0:
        return None
    origins = torch.cat([problem.start[:, None], states[:, :-1]], dim=1)
    with torch.no_grad():
        defects = dynamics_defect(problem.model, origins, candidate.actions[:, :-1], states)
    return float(defects[0].mean())
