"""Share of tasks solved over planner time, with the number of trials still at risk."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray

from grasp_bench.report.figures.drawing import (
    Drawing,
    Style,
    contenders,
    new_figure,
    provenance,
)
from grasp_bench.report.rows import ResultTable, TableColumn
from grasp_bench.stats import SurvivalCurve, solved_over_time

PANELS_A_ROW = 3

Times = NDArray[np.float64]


def draw_solved(table: ResultTable, trials: pd.DataFrame) -> Drawing:
    """Kaplan-Meier estimate of the share solved by a planner time, a panel per horizon.

    Failures are censored when they ended. Time is logarithmic, and below each panel stands
    how many trials were still running just before its ticks.
    """
    columns = min(PANELS_A_ROW, len(table.rows))
    lines = math.ceil(len(table.rows) / columns)
    planners = contenders(table)
    unit = "planner seconds" if table.unit == "s" else "candidate plans"
    height = 2.2 + 0.16 * len(planners)
    figure = new_figure(max(4.5, 3.4 * columns), lines * height + 0.3)
    panels = np.atleast_1d(figure.subfigures(lines, columns, squeeze=False).ravel())
    finished = trials[trials["status"] == "ok"]
    for place, (row, panel) in enumerate(zip(table.rows, panels, strict=False)):
        own = finished[finished["horizon"] == row.horizon]
        _draw_horizon(panel, planners, own, unit, named=place % columns == 0)
        panel.suptitle(f"H={row.horizon}", fontsize="small")
    keys = [
        Line2D([], [], color=look.colour, marker=look.marker, label=column.title)
        for column, look in planners
    ]
    figure.legend(
        handles=keys, loc="outside upper center", ncols=max(1, len(keys)), fontsize="small"
    )
    return Drawing(
        title=f"Tasks solved over {unit}",
        caption=f"Kaplan-Meier estimate of the share of tasks solved within so many {unit} "
        "(logarithmic), failures censored when they ended; below, the trials not yet solved or "
        f"ended. {provenance(trials)}",
        alt=f"Step curves of the share of tasks solved over {unit}, one panel per horizon. "
        + _in_words(planners, finished, table),
        figure=figure,
    )


def times_of(trials: pd.DataFrame) -> tuple[Times, NDArray[np.bool_]]:
    """When each trial was solved or censored, and whether [N] it was solved."""
    ended = trials["planner_time"].clip(upper=float(trials["budget"].iloc[0]))
    times = trials["time_to_success"].fillna(ended).to_numpy(dtype=np.float64)
    return times, trials["success"].to_numpy(dtype=bool)


def _draw_horizon(
    panel: SubFigure,
    planners: list[tuple[TableColumn, Style]],
    trials: pd.DataFrame,
    unit: str,
    named: bool,
) -> None:
    upper, lower = panel.subplots(
        2, 1, sharex=True, height_ratios=[1.8, 0.16 * len(planners)], gridspec_kw={"hspace": 0}
    )
    first, budget = float(trials["check_first"].iloc[0]), float(trials["budget"].iloc[0])
    ticks = _ticks(first, budget)
    names = []
    for place, (column, look) in enumerate(planners):
        own = trials[trials["planner_label"] == column.label]
        names.append(column.title)
        if own.empty:
            continue
        times, solved = times_of(own)
        _draw_curve(upper, solved_over_time(times, solved), first, budget, look)
        for tick, count in zip(ticks, _at_risk(times, ticks), strict=True):
            lower.text(tick, place, str(count), ha="center", va="center", fontsize=6)
    upper.set(xscale="log", xlim=(first / 1.4, budget * 1.4), ylim=(-3, 103))
    upper.xaxis.set_major_locator(FixedLocator(ticks))
    upper.xaxis.set_minor_locator(NullLocator())
    upper.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    upper.tick_params(labelsize=7, labelbottom=True)
    upper.grid(alpha=0.3)
    upper.set_xlabel(unit, fontsize=7, labelpad=1)
    lower.set(ylim=(len(planners) - 0.5, -0.5), yticks=range(len(planners)))
    lower.set_yticklabels(names if named else [""] * len(names), fontsize=6)
    lower.tick_params(length=0, labelbottom=False)
    lower.spines[:].set_visible(False)
    if named:
        upper.set_ylabel("solved (%)", fontsize=8)


def _draw_curve(axes: Axes, curve: SurvivalCurve, first: float, budget: float, look: Style) -> None:
    # A logarithmic axis has no zero: the curve begins where the first check is.
    times = np.append(np.maximum(curve.times, first / 1.4), budget)
    share = 100 * np.append(curve.solved, curve.solved[-1])
    marks = sorted({len(times) // 3, 2 * len(times) // 3, len(times) - 1})
    axes.step(
        times,
        share,
        where="post",
        color=look.colour,
        marker=look.marker,
        markersize=4,
        markevery=marks,
        linewidth=1.3,
    )


def _ticks(first: float, budget: float) -> list[float]:
    """1 and 3 times powers of ten between the first check and the budget."""
    powers = range(math.floor(math.log10(first)), math.ceil(math.log10(budget)) + 1)
    nice = [factor * 10.0**power for power in powers for factor in (1, 3)]
    return [tick for tick in nice if first <= tick <= budget] or [first, budget]


def _at_risk(times: Times, ticks: list[float]) -> list[int]:
    return [int(len(times) - before) for before in np.searchsorted(np.sort(times), ticks)]


def _in_words(
    planners: list[tuple[TableColumn, Style]], finished: pd.DataFrame, table: ResultTable
) -> str:
    longest = finished[finished["horizon"] == table.rows[-1].horizon]
    budget = float(longest["budget"].iloc[0])
    shares = []
    for column, _ in planners:
        own = longest[longest["planner_label"] == column.label]
        if not own.empty:
            curve = solved_over_time(*times_of(own))
            by_half = curve.solved[np.searchsorted(curve.times, budget / 2, side="right") - 1]
            shares.append(f"{column.title} {by_half:.0%} and {curve.solved[-1]:.0%}")
    return f"At H={table.rows[-1].horizon}, by half and all of the budget: {', '.join(shares)}."
