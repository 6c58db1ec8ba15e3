"""Draws success over horizon, the paper's beside ours."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from grasp_bench.analysis.aggregate import ResultTable, TableColumn
from grasp_bench.analysis.published import PAPER
from grasp_bench.analysis.result_figures.drawing import (
    Drawing,
    LineEnd,
    Style,
    draw_over_horizon,
    label_ends,
    new_figure,
    over_horizon,
    provenance,
    styles,
)
from grasp_bench.analysis.stats import Interval


def draw_success(table: ResultTable, trials: pd.DataFrame) -> Drawing:
    """Draws success rates over horizon in two panels of one scale: the paper's, then ours."""
    planners, looks = table.contenders, styles(table)
    published = [column for column in planners if PAPER in column.published]
    figure = new_figure(8.5 if published else 5.0, 3.8)
    ours = f"these results, {trials['model'].iloc[0]}"
    panels = over_horizon(figure, table, [f"GRASP {PAPER.name}", ours] if published else [ours])
    panels[0].set(ylim=(0, 102), ylabel="tasks solved (%)")
    if published:
        _draw_published(panels[0], published, looks)
    rates = {
        column.label: {
            horizon: (100 * cell.rate, Interval(*(100 * bound for bound in cell.success)))
            for horizon, cell in table.cells_of(column.label).items()
        }
        for column in planners
    }
    label_ends(panels[-1], draw_over_horizon(panels[-1], table, looks, rates))
    paper = (
        f" Left: as the GRASP {PAPER.name} reports them, with another world model and budget; "
        "compare the pattern, not the digits."
    )
    grey = " Grey: the other planners." if len(looks) < len(planners) else ""
    return Drawing(
        title="Success over horizon",
        caption="Share of tasks whose plan reached the goal within the horizon, with 95% Wilson "
        f"intervals.{paper if published else ''}{grey}{_learned(planners)} "
        f"{provenance(table, trials)}",
        alt=_in_words(table),
        figure=figure,
    )


def _learned(planners: list[TableColumn]) -> str:
    """Names the planners that use a learned prior, which the others do not have."""
    titles = ", ".join(column.title for column in planners if column.learned)
    return f" With an action prior learned from demonstrations: {titles}." if titles else ""


def _draw_published(axes: Axes, planners: list[TableColumn], looks: dict[str, Style]) -> None:
    ends = []
    for column in planners:
        look, cells = looks[column.label], column.published[PAPER]
        rates = [100 * cell.success for cell in cells.values()]
        axes.plot(
            list(cells), rates, color=look.colour, marker=look.marker, mfc="white", markersize=5
        )
        ends.append(LineEnd(max(cells), rates[-1], column.title, look.colour))
    label_ends(axes, ends)


def _in_words(table: ResultTable) -> str:
    series = []
    for column in table.contenders:
        cells = table.cells_of(column.label).items()
        rates = ", ".join(f"{cell.rate:.0%} at H={horizon}" for horizon, cell in cells)
        series.append(f"{column.title} {rates}")
    return f"Line chart of success rates. {'; '.join(series)}."
