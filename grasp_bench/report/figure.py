"""Success over horizon, ours and the paper's, and below it tasks solved over planner time."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grasp_bench.report.published import PAPER
from grasp_bench.report.rows import Cell, ResultTable, TableColumn
from grasp_bench.stats import solved_over_time

# Okabe and Ito's colours: distinct without colour vision; the markers also without colour.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BOUND_DASHES = (":", "-.", (0, (1, 4)))
FIGURE_FORMATS = (".png", ".svg")


def write_figure(table: ResultTable, trials: pd.DataFrame, path: Path) -> list[Path]:
    """Draw the figure and write it beside `path` in every format; returns the files.

    Upper panel: success rate over horizon with 95% Wilson intervals, solid; the paper's,
    dashed and hollow. Lower panels, one a horizon: share of trials solved by a planner time,
    the Kaplan-Meier estimate with failures censored when they ended.
    """
    # Text as text, and no date or random ids: the same results give the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "grasp-bench"}):
        figure = Figure(figsize=(max(7.0, 2.2 * len(table.rows)), 6.5), layout="constrained")
        upper, lower = figure.subfigures(2, 1, height_ratios=[3, 2], squeeze=False)[:, 0]
        _draw_success(upper.subplots(), table)
        panels = np.atleast_1d(lower.subplots(1, len(table.rows), sharey=True))
        for row, axes in zip(table.rows, panels, strict=True):
            _draw_solved(axes, table, trials[trials["horizon"] == row.horizon])
            axes.set_title(f"H={row.horizon}", fontsize="small")
        panels[0].set_ylabel("solved (%)")
        unit = "planner seconds" if table.unit == "s" else "candidate plans"
        lower.supxlabel(unit, fontsize="medium")
        files = [path.with_suffix(suffix) for suffix in FIGURE_FORMATS]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else {})
    return files


def _style(place: int) -> tuple[str, str]:
    return COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]


def _draw_success(axes: Axes, table: ResultTable) -> None:
    planners = [column for column in table.columns if not column.bound]
    for place, column in enumerate(planners):
        # Side by side, as intervals on top of each other cannot be read.
        shift = 0.5 * (place - (len(planners) - 1) / 2)
        cells = _cells(table, column)
        rates = np.array([cell.rate for cell in cells.values()])
        low = np.array([cell.success.low for cell in cells.values()])
        high = np.array([cell.success.high for cell in cells.values()])
        colour, marker = _style(place)
        axes.errorbar(
            np.array(list(cells)) + shift,
            100 * rates,
            yerr=100 * np.maximum(0, [rates - low, high - rates]),
            color=colour,
            marker=marker,
            capsize=3,
            label=column.title,
        )
        paper = {h: column.published[h] for h in cells if h in column.published}
        axes.plot(
            list(paper),
            [100 * cell.success for cell in paper.values()],
            color=colour,
            marker=marker,
            mfc="white",
            linestyle="--",
            alpha=0.7,
        )
    bounds = [column for column in table.columns if column.bound]
    for column, dashes in zip(bounds, BOUND_DASHES, strict=False):
        cells = _cells(table, column)
        rates = np.array([cell.rate for cell in cells.values()])
        axes.plot(list(cells), 100 * rates, color="grey", linestyle=dashes, label=column.title)
    handles, _ = axes.get_legend_handles_labels()
    if any(column.published for column in planners):
        handles.append(
            Line2D([], [], color="black", linestyle="--", marker="o", mfc="white", label=PAPER)
        )
    axes.legend(handles=handles, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set(xlabel="horizon H (environment steps)", ylabel="success (%)", ylim=(-3, 103))
    axes.set_xticks([row.horizon for row in table.rows])
    axes.grid(alpha=0.3)


def _cells(table: ResultTable, column: TableColumn) -> dict[int, Cell]:
    label = column.label
    return {row.horizon: row.cells[label] for row in table.rows if label in row.cells}


def _draw_solved(axes: Axes, table: ResultTable, trials: pd.DataFrame) -> None:
    planners = [column for column in table.columns if not column.bound]
    for place, column in enumerate(planners):
        own = trials[(trials["planner_label"] == column.label) & (trials["status"] == "ok")]
        if own.empty:
            continue
        budget = float(own["budget"].iloc[0])
        ended = own["planner_time"].clip(upper=budget)
        times = own["time_to_success"].fillna(ended).to_numpy(dtype=np.float64)
        curve = solved_over_time(times, own["success"].to_numpy(dtype=bool))
        axes.step(
            np.append(curve.times, budget),
            100 * np.append(curve.solved, curve.solved[-1]),
            where="post",
            color=_style(place)[0],
            marker=_style(place)[1],
            markevery=[-1],
        )
    axes.set_ylim(-3, 103)
    axes.grid(alpha=0.3)
