"""Work per success in model rows, a cost that no hardware changes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtri

from grasp_bench.report.figures.drawing import (
    Drawing,
    by_cell,
    contenders,
    new_figure,
    provenance,
    side_by_side,
)
from grasp_bench.report.rows import ResultTable
from grasp_bench.stats import CONFIDENCE, Interval

DIRECTIONS = {"forward": "-", "backward": "--"}


class WorkPerSuccess(NamedTuple):
    """Model rows per success, and the 95% interval."""

    rows: float
    interval: Interval


def work_per_success(rows: ArrayLike, success: ArrayLike) -> WorkPerSuccess | None:
    """All model rows [N] of a planner's trials, failures included, by its successes [N].

    A ratio of two means over tasks. Its interval is the delta method's on the logarithm,
    with the variance of rows - ratio x success (Cochran 1977, section 6.3). None where
    nothing succeeded or no rows were evaluated.
    """
    work, solved = np.asarray(rows, dtype=np.float64), np.asarray(success, dtype=np.float64)
    if work.sum() == 0 or solved.sum() == 0:
        return None
    ratio = float(work.sum() / solved.sum())
    residual = work - ratio * solved
    variance = (residual**2).sum() / max(len(work) - 1, 1) / len(work)
    relative = float(np.sqrt(variance)) / float(work.mean())
    spread = float(np.exp(ndtri((1 + CONFIDENCE) / 2) * relative))
    return WorkPerSuccess(ratio, Interval(ratio / spread, ratio * spread))


def draw_model_rows(table: ResultTable, trials: pd.DataFrame) -> Drawing:
    """Model rows per success over horizon: forward solid and filled, backward dashed, hollow."""
    figure = new_figure(max(7.0, 1.2 * len(table.rows)), 4.0)
    axes = figure.subplots()
    cells = by_cell(trials, ["success", *(f"rows_{direction}" for direction in DIRECTIONS)])
    words = []
    for (column, look), shift in zip(contenders(table), side_by_side(table), strict=True):
        for direction, dashes in DIRECTIONS.items():
            work = {
                horizon: cell
                for (horizon, label), own in cells.items()
                if label == column.label
                and (cell := work_per_success(own[f"rows_{direction}"], own["success"]))
            }
            if not work:
                continue
            values = np.array([cell.rows for cell in work.values()])
            low, high = np.array([cell.interval for cell in work.values()]).T
            axes.errorbar(
                [horizon + shift for horizon in work],
                values,
                yerr=[values - low, high - values],
                color=look.colour,
                marker=look.marker,
                mfc=look.colour if direction == "forward" else "white",
                linestyle=dashes,
                capsize=3,
                label=f"{column.title}, {direction}",
            )
            horizon, cell = list(work.items())[-1]
            words.append(f"{column.title} {direction} {cell.rows:,.0f} at H={horizon}")
    if words:
        axes.set_yscale("log")
        axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set(xlabel="horizon H (environment steps)", ylabel="model rows per success")
    axes.set_xticks([row.horizon for row in table.rows])
    axes.grid(alpha=0.3)
    return Drawing(
        title="Model rows per success",
        caption="Transitions the world model evaluated forward (solid) and backward (dashed, "
        "hollow) in all trials, failures included, divided by the successes, with 95% intervals "
        "(delta method). Missing where nothing succeeded or no gradient was taken. "
        + provenance(trials),
        alt=f"Line chart of model rows per success. {'; '.join(words) or 'Nothing succeeded'}.",
        figure=figure,
    )
