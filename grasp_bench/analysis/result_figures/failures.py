"""Draws why final plans failed, over horizon, a panel for every planner."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from grasp_bench.analysis.aggregate import ResultTable, TableColumn
from grasp_bench.analysis.failure_kinds import KINDS, failure_counts
from grasp_bench.analysis.result_figures.drawing import (
    COLOURS,
    MARKERS,
    Drawing,
    new_figure,
    provenance,
)
from grasp_bench.analysis.stats import wilson_interval
from grasp_bench.core.errors import UserError

_ACROSS = 5  # panels
_SIDEWAYS = 0.7  # steps of the horizon that the kinds of one horizon stand apart, at most


def draw_failures(table: ResultTable, trials: pd.DataFrame) -> Drawing:
    """Draws the share of trials that failed for each reason, with intervals.

    Raises:
        UserError: there is no planner but bounds; see `failure_kinds` too.
    """
    counted = failure_counts(trials)
    planners = table.contenders
    if not planners:
        raise UserError("these results hold no planner whose failures could be drawn")
    horizons = [row.horizon for row in table.rows]
    kinds = [kind for kind in KINDS if any(c[kind] for c in counted.values())] or [KINDS[0]]
    rows = -(-len(planners) // _ACROSS)
    figure = new_figure(1.9 * min(len(planners), _ACROSS) + 0.8, 2.2 * rows + 0.5)
    panels = figure.subplots(
        rows, min(len(planners), _ACROSS), sharex=True, sharey=True, squeeze=False
    ).ravel()
    for axes, column in zip(panels, planners, strict=False):
        cells = {h: c for h in horizons if (c := counted.get((column.label, h))) is not None}
        _draw_panel(axes, column.title, cells, kinds, horizons)
    for axes in panels[len(planners) :]:
        axes.set_visible(False)
    figure.supylabel("final plans that failed (%)", fontsize=9)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=len(names), frameon=False)
    return Drawing(
        title="Why final plans failed",
        caption="Share of all trials whose final plan failed for each reason, with 95% Wilson "
        "intervals, over the horizon H (environment steps). Search: the model predicts a higher "
        "goal cost for the plan than for the task's demonstration. Model: no higher, but where "
        "the plan really leads costs more. Objective: where it leads costs no more, and the "
        f"criterion does not hold. {provenance(table, trials)}",
        alt=_in_words(planners, counted, kinds),
        figure=figure,
    )


def _draw_panel(
    axes: Axes,
    title: str,
    cells: dict[int, dict[str, int]],
    kinds: list[str],
    horizons: list[int],
) -> None:
    step = min(np.diff(horizons), default=10)
    axes.set_title(title, loc="left", fontsize=9)
    axes.set(ylim=(0, 102), xticks=horizons)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    for place, kind in enumerate(kinds):
        aside = _SIDEWAYS * step * (place / max(len(kinds) - 1, 1) - 0.5) / 2
        shares, errors = [], []
        for counts in cells.values():
            trials = sum(counts.values())
            share, interval = counts[kind] / trials, wilson_interval(counts[kind], trials)
            shares.append(100 * share)
            errors.append([100 * (share - interval.low), 100 * (interval.high - share)])
        axes.errorbar(
            np.array(list(cells)) + aside, shares, yerr=np.maximum(0, np.transpose(errors)),
            color=COLOURS[place], marker=MARKERS[place], markersize=4, linewidth=1.2,
            elinewidth=0.8, label=kind,
        )  # fmt: skip


def _in_words(
    planners: list[TableColumn], counted: dict[tuple[str, int], dict[str, int]], kinds: list[str]
) -> str:
    series = []
    for column in planners:
        cells = [(h, counts) for (label, h), counts in counted.items() if label == column.label]
        for horizon, counts in sorted(cells):
            trials = sum(counts.values())
            shares = ", ".join(f"{kind} {counts[kind] / trials:.0%}" for kind in kinds)
            series.append(f"{column.title} at H={horizon}: {shares}")
    return f"Line charts of reasons why plans failed. {'; '.join(series)}."
