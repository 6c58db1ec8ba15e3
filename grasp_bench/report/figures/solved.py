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
    by_cell,
    contenders,
    new_figure,
    provenance,
)
from grasp_bench.report.rows import ResultTable, TableColumn
from grasp_bench.stats import SurvivalCurve, solved_over_time

PANELS_A_ROW, CURVE_POINTS = 3, 500

Times = tuple[NDArray[np.float64], NDArray[np.bool_]]


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
    first, budget = (float(trials[name].iloc[0]) for name in ("check_first", "budget"))
    cells = by_cell(trials, ["success", "time_to_success", "planner_time"])
    times = {cell: times_of(own, budget) for cell, own in cells.items()}
    for place, (row, panel) in enumerate(zip(table.rows, panels, strict=False)):
        own = {label: cell for (horizon, label), cell in times.items() if horizon == row.horizon}
        upper, lower = _draw_horizon(panel, planners, own, first, budget)
        panel.suptitle(f"H={row.horizon}", fontsize="small")
        upper.set_xlabel(unit, fontsize=7, labelpad=1)
        if place % columns == 0:
            upper.set_ylabel("solved (%)", fontsize=8)
            lower.set_yticklabels([column.title for column, _ in planners], fontsize=6)
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
        + _in_words(planners, times, table.rows[-1].horizon, budget),
        figure=figure,
    )


def times_of(trials: pd.DataFrame, budget: float) -> Times:
    """When each trial was solved or censored, and whether it was solved: [N] and [N]."""
    ended = trials["planner_time"].clip(upper=budget)
    times = trials["time_to_success"].fillna(ended).to_numpy(dtype=np.float64)
    return times, trials["success"].to_numpy(dtype=bool)


def _draw_horizon(
    panel: SubFigure,
    planners: list[tuple[TableColumn, Style]],
    times: dict[str, Times],
    first: float,
    budget: float,
) -> tuple[Axes, Axes]:
    upper, lower = panel.subplots(
        2, 1, sharex=True, height_ratios=[1.8, 0.16 * len(planners)], gridspec_kw={"hspace": 0}
    )
    ticks = _ticks(first, budget)
    for place, (column, look) in enumerate(planners):
        if column.label in times:
            own = times[column.label]
            _draw_curve(upper, solved_over_time(*own), first, budget, look)
            for tick, count in zip(ticks, _at_risk(own, ticks), strict=True):
                text = lower.text(tick, place, str(count), ha="center", va="center", fontsize=6)
                text.set_in_layout(False)
    upper.set(xscale="log", xlim=(first / 1.4, budget * 1.4), ylim=(-3, 103))
    upper.xaxis.set_major_locator(FixedLocator(ticks))
    upper.xaxis.set_minor_locator(NullLocator())
    upper.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    upper.tick_params(labelsize=7, labelbottom=True)
    upper.grid(alpha=0.3)
    lower.set(ylim=(len(planners) - 0.5, -0.5), yticks=range(len(planners)))
    lower.set_yticklabels([""] * len(planners))
    lower.tick_params(length=0)
    lower.xaxis.set_visible(False)
    lower.spines[:].set_visible(False)
    return upper, lower


def _draw_curve(axes: Axes, curve: SurvivalCurve, first: float, budget: float, look: Style) -> None:
    # A logarithmic axis has no zero: the curve begins where the first check is.
    times = np.append(np.maximum(curve.times, first / 1.4), budget)
    share = 100 * np.append(curve.solved, curve.solved[-1])
    if len(times) > CURVE_POINTS:
        # More steps than a screen has pixels: the curve as it is at evenly spaced times.
        shown = np.geomspace(times[0], budget, CURVE_POINTS)
        share = share[np.searchsorted(times, shown, side="right") - 1]
        times = shown
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
    ended = np.sort(times[0])
    return [int(len(ended) - before) for before in np.searchsorted(ended, ticks)]


def _in_words(
    planners: list[tuple[TableColumn, Style]],
    times: dict[tuple[int, str], Times],
    horizon: int,
    budget: float,
) -> str:
    shares = []
    for column, _ in planners:
        if (horizon, column.label) in times:
            curve = solved_over_time(*times[horizon, column.label])
            by_half = curve.solved[np.searchsorted(curve.times, budget / 2, side="right") - 1]
            shares.append(f"{column.title} {by_half:.0%} and {curve.solved[-1]:.0%}")
    return f"At H={horizon}, by half and all of the budget: {', '.join(shares)}."
