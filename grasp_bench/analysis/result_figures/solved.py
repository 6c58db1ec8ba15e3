"""Draws the share of tasks solved over planner time, with the trials still at risk."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray

from grasp_bench.analysis.aggregate import ResultTable
from grasp_bench.analysis.result_figures.drawing import (
    GREY,
    Drawing,
    LineEnd,
    by_cell,
    label_ends,
    new_figure,
    provenance,
    styles,
)
from grasp_bench.analysis.stats import solved_over_time

PANELS_A_ROW, CURVE_POINTS = 3, 500

Times = tuple[NDArray[np.float64], NDArray[np.bool_]]


def draw_solved(table: ResultTable, trials: pd.DataFrame) -> Drawing:
    """Draws the Kaplan-Meier estimate of the share solved by a planner time, a panel a horizon.

    Failures are censored at the budget, so that giving up early gains nothing. Time is
    logarithmic. Below each panel stands how many trials of a coloured planner were not yet
    solved just before its ticks.
    """
    columns = min(PANELS_A_ROW, len(table.rows))
    lines = math.ceil(len(table.rows) / columns)
    looks, titles = styles(table), {c.label: c.title for c in table.contenders}
    coloured = [(titles[label], label, look.colour) for label, look in looks.items()]
    unit = "planner seconds" if table.unit == "s" else "candidate plans"
    figure = new_figure(max(4.5, 3.6 * columns), lines * (2.3 + 0.16 * len(looks)))
    panels = figure.subfigures(lines, columns, squeeze=False).ravel()
    first, budget = float(trials["check_first"].iloc[0]), float(trials["budget"].max())
    cells = by_cell(trials, ["success", "time_to_success"])
    times = {cell: times_of(own, budget) for cell, own in cells.items()}
    for place, (row, panel) in enumerate(zip(table.rows, panels, strict=False)):
        own = {
            label: times[row.horizon, label] for label in titles if (row.horizon, label) in times
        }
        upper, lower = _panel(panel, len(looks), first, budget)
        _draw_curves(upper, own, titles, {label: colour for _, label, colour in coloured})
        _write_at_risk(lower, own, coloured, names=place % columns == 0)
        panel.suptitle(f"H={row.horizon}", fontsize="small")
        upper.set_xlabel(unit, fontsize=7, labelpad=1)
        if place % columns == 0:
            upper.set_ylabel("tasks solved (%)", fontsize=8)
    grey = " Grey: the other planners." if len(looks) < len(titles) else ""
    return Drawing(
        title=f"Tasks solved over {unit}",
        caption=f"Kaplan-Meier estimate of the share of tasks solved within so many {unit} "
        "(logarithmic), failures censored at the budget; below, the trials not yet solved."
        f"{grey} {provenance(table, trials)}",
        alt=f"Step curves of the share of tasks solved over {unit}, one panel per horizon. "
        + _in_words(titles, times, table.rows[-1].horizon, budget),
        figure=figure,
    )


def times_of(trials: pd.DataFrame, budget: float) -> Times:
    """Returns when each trial was solved or censored, and whether it was solved: [N] and [N]."""
    times = trials["time_to_success"].fillna(budget).to_numpy(dtype=np.float64)
    return times, trials["success"].to_numpy(dtype=bool)


def _panel(panel: SubFigure, rows: int, first: float, budget: float) -> tuple[Axes, Axes]:
    """Makes axes for the curves and, below them on the same time axis, for the numbers."""
    upper, lower = panel.subplots(
        2, 1, sharex=True, height_ratios=[1.8, 0.16 * max(rows, 1)], gridspec_kw={"hspace": 0}
    )
    upper.set(xscale="log", xlim=(first / 1.4, budget * 1.2), ylim=(0, 102))
    upper.xaxis.set_major_locator(FixedLocator(_ticks(first, budget)))
    upper.xaxis.set_minor_locator(NullLocator())
    upper.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    upper.tick_params(labelsize=7, labelbottom=True)
    upper.grid(axis="y", alpha=0.25)
    upper.spines[["top", "right"]].set_visible(False)
    lower.set(ylim=(rows - 0.5, -0.5), yticks=[])
    lower.xaxis.set_visible(False)
    lower.spines[:].set_visible(False)
    return upper, lower


def _draw_curves(
    axes: Axes, times: dict[str, Times], titles: dict[str, str], colours: dict[str, str]
) -> None:
    ends = []
    start, budget = axes.get_xlim()[0], axes.get_xlim()[1] / 1.2
    # A screen shows no more steps than these.
    shown = np.geomspace(start, budget, CURVE_POINTS)
    for label, own in times.items():
        share = 100 * solved_over_time(*own, shown)
        colour = colours.get(label)
        axes.step(
            shown, share, where="post", color=colour or GREY,
            linewidth=1.5 if colour else 1, zorder=2 if colour else 1,
        )  # fmt: skip
        if colour:
            ends.append(LineEnd(budget, float(share[-1]), titles[label], colour))
    label_ends(axes, ends, gap=0.085, size=7)


def _write_at_risk(
    axes: Axes, times: dict[str, Times], rows: list[tuple[str, str, str]], names: bool
) -> None:
    ticks = list(axes.get_xticks())
    for place, (title, label, colour) in enumerate(rows):
        if names:
            axes.text(
                -0.02, place, title, transform=axes.get_yaxis_transform(),
                ha="right", va="center", fontsize=6, color=colour,
            )  # fmt: skip
        if label in times:
            ended = np.sort(times[label][0])
            for tick, before in zip(ticks, np.searchsorted(ended, ticks), strict=True):
                text = axes.text(
                    tick, place, str(len(ended) - before), ha="center", va="center",
                    fontsize=6, color=colour,
                )  # fmt: skip
                text.set_in_layout(False)


def _ticks(first: float, budget: float) -> list[float]:
    """Returns 1 and 3 times powers of ten between the first check and the budget."""
    powers = range(math.floor(math.log10(first)), math.ceil(math.log10(budget)) + 1)
    nice = [factor * 10.0**power for power in powers for factor in (1, 3)]
    return [tick for tick in nice if first <= tick <= budget] or [first, budget]


def _in_words(
    titles: dict[str, str], times: dict[tuple[int, str], Times], horizon: int, budget: float
) -> str:
    shares = []
    for label, title in titles.items():
        if (horizon, label) in times:
            half, whole = solved_over_time(*times[horizon, label], [budget / 2, budget])
            shares.append(f"{title} {half:.0%} and {whole:.0%}")
    return f"At H={horizon}, by half and all of the budget: {', '.join(shares)}."
