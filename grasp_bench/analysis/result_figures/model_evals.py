"""Draws model evaluations per success, a cost that no hardware changes."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from grasp_bench.analysis.aggregate import ResultTable
from grasp_bench.analysis.result_figures.drawing import (
    Drawing,
    by_cell,
    draw_over_horizon,
    label_ends,
    new_figure,
    over_horizon,
    provenance,
    styles,
)
from grasp_bench.analysis.stats import CONFIDENCE, Interval, normal_quantile

DIRECTIONS = ("forward", "backward")


class WorkPerSuccess(NamedTuple):
    """Holds model evaluations per success, and the 95% interval."""

    evaluations: float
    interval: Interval


Work = dict[str, dict[int, WorkPerSuccess]]  # by planner label and horizon


def work_per_success(evaluations: ArrayLike, success: ArrayLike) -> WorkPerSuccess | None:
    """Divides all model evaluations [N] of a planner, failures included, by its successes [N].

    This is a ratio of two means over tasks. Its interval is the delta method's on the
    logarithm, with the variance of evaluations - ratio x success (Cochran 1977, section 6.3).
    Returns None where nothing succeeded or the model was not evaluated.
    """
    work, solved = np.asarray(evaluations, dtype=np.float64), np.asarray(success, dtype=np.float64)
    if work.sum() == 0 or solved.sum() == 0:
        return None
    ratio = float(work.sum() / solved.sum())
    residual = work - ratio * solved
    variance = (residual**2).sum() / max(len(work) - 1, 1) / len(work)
    relative = float(np.sqrt(variance)) / float(work.mean())
    spread = float(np.exp(normal_quantile(CONFIDENCE) * relative))
    return WorkPerSuccess(ratio, Interval(ratio / spread, ratio * spread))


def draw_model_evals(table: ResultTable, trials: pd.DataFrame) -> Drawing:
    """Draws model evaluations per success over horizon: a panel forward, a panel backward."""
    figure = new_figure(8.5, 3.8)
    cells = by_cell(trials, ["success", *(f"model_evals_{way}" for way in DIRECTIONS)])
    panels = over_horizon(figure, table, DIRECTIONS)
    work: dict[str, Work] = {way: {} for way in DIRECTIONS}
    for way, column in itertools.product(DIRECTIONS, table.contenders):
        work[way][column.label] = {
            horizon: found
            for (horizon, label), own in cells.items()
            if label == column.label
            and (found := work_per_success(_work(own[f"model_evals_{way}"]), own["success"]))
        }
    if any(any(own.values()) for own in work.values()):
        panels[0].set_yscale("log")
    looks = styles(table)
    ends = [
        draw_over_horizon(axes, table, looks, work[way])
        for way, axes in zip(DIRECTIONS, panels, strict=True)
    ]
    # Both panels share their limits, which all lines decide.
    for axes, named in zip(panels, ends, strict=True):
        label_ends(axes, named)
    panels[0].set_ylabel("model evaluations per success")
    return Drawing(
        title="Model evaluations per success",
        caption="Transitions that the world model evaluated forward (left) and backward (right) "
        "in all trials, failures included, divided by the successes, with 95% intervals (delta "
        "method). Missing where nothing succeeded or no gradient was taken. "
        + provenance(table, trials),
        alt=f"Line chart of model evaluations per success. {_in_words(table, work)}.",
        figure=figure,
    )


def _work(evaluations: pd.Series) -> pd.Series:
    """Gives a trial that raised the most of its planner's: its own work is not known."""
    return evaluations.fillna(0 if evaluations.isna().all() else evaluations.max())


def _in_words(table: ResultTable, work: dict[str, Work]) -> str:
    """Says the numbers of every planner at the longest horizon where it has any."""
    words = []
    for column, way in itertools.product(table.contenders, DIRECTIONS):
        if own := work[way][column.label]:
            last = max(own)
            words.append(f"{column.title} {way} {own[last].evaluations:,.0f} at H={last}")
    return "; ".join(words) or "Nothing succeeded"
