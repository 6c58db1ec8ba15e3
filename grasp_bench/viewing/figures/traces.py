"""Goal cost and dynamics defect over a planner's iterations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from grasp_bench.recreate import RecordedTrial
from grasp_bench.report.figures.drawing import Drawing, Style, new_figure, style
from grasp_bench.types import Candidate
from grasp_bench.viewing.figures.about import about
from grasp_bench.viewing.history import path_defect


def draw_traces(trials: Sequence[tuple[RecordedTrial, Sequence[Candidate]]]) -> Drawing:
    """Left: goal cost of each candidate and of the best so far; right: defect of the path.

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
        _line(costs, iterations, best, look, label)
        defect = [path_defect(trial.problem, candidate) for candidate in candidates]
        if all(value is not None for value in defect):
            _line(defects, iterations, np.array(defect, dtype=np.float64), look, label)
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


def _line(axes: Axes, iterations: np.ndarray, values: np.ndarray, look: Style, label: str) -> None:
    axes.plot(
        iterations,
        values,
        color=look.colour,
        marker=look.marker,
        markersize=4,
        markevery=0.15,
        label=label,
    )
