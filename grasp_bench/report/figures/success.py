"""Success over horizon, ours and the paper's."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from grasp_bench.report.figures.drawing import (
    Drawing,
    Style,
    contenders,
    new_figure,
    provenance,
    side_by_side,
)
from grasp_bench.report.published import PAPER
from grasp_bench.report.rows import Cell, ResultTable, TableColumn

BOUND_DASHES = (":", "-.", (0, (1, 4)))


def draw_success(table: ResultTable, trials: pd.DataFrame) -> Drawing:
    """Success rate over horizon with 95% Wilson intervals; the paper's dashed and hollow."""
    figure = new_figure(max(7.0, 1.2 * len(table.rows)), 4.0)
    axes = figure.subplots()
    planners = contenders(table)
    for (column, look), shift in zip(planners, side_by_side(table), strict=True):
        _draw_planner(axes, table, column, look, shift)
    bounds = [column for column in table.columns if column.bound]
    for column, dashes in zip(bounds, BOUND_DASHES, strict=False):
        rates = {h: 100 * cell.rate for h, cell in cells_of(table, column).items()}
        axes.plot(
            list(rates), list(rates.values()), color="grey", linestyle=dashes, label=column.title
        )
    handles, _ = axes.get_legend_handles_labels()
    published = any(PAPER in column.published for column, _ in planners)
    if published:
        handles.append(
            Line2D(
                [],
                [],
                color="black",
                linestyle="--",
                marker="o",
                mfc="white",
                label=f"GRASP {PAPER.name}",
            )
        )
    axes.legend(handles=handles, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set(xlabel="horizon H (environment steps)", ylabel="success (%)", ylim=(-3, 103))
    axes.set_xticks([row.horizon for row in table.rows])
    axes.grid(alpha=0.3)
    paper = f" Dashed and hollow: the GRASP {PAPER.name}'s, not to be compared digit by digit."
    return Drawing(
        title="Success over horizon",
        caption="Share of tasks whose plan reached the goal region within the horizon, with 95% "
        f"Wilson intervals.{paper if published else ''} {provenance(trials)}",
        alt=_in_words(table),
        figure=figure,
    )


def cells_of(table: ResultTable, column: TableColumn) -> dict[int, Cell]:
    """The cells of one planner by horizon."""
    label = column.label
    return {row.horizon: row.cells[label] for row in table.rows if label in row.cells}


def _draw_planner(
    axes: Axes, table: ResultTable, column: TableColumn, look: Style, shift: float
) -> None:
    cells = cells_of(table, column)
    rates = np.array([cell.rate for cell in cells.values()])
    low, high = np.array([cell.success for cell in cells.values()]).T
    axes.errorbar(
        np.array(list(cells)) + shift,
        100 * rates,
        yerr=100 * np.maximum(0, [rates - low, high - rates]),
        color=look.colour,
        marker=look.marker,
        capsize=3,
        label=column.title,
    )
    of_paper = column.published.get(PAPER, {})
    paper = {h: of_paper[h] for h in cells if h in of_paper}
    axes.plot(
        list(paper),
        [100 * cell.success for cell in paper.values()],
        color=look.colour,
        marker=look.marker,
        mfc="white",
        linestyle="--",
        alpha=0.7,
    )


def _in_words(table: ResultTable) -> str:
    series = []
    for column, _ in contenders(table):
        rates = ", ".join(
            f"{cell.rate:.0%} at H={horizon}" for horizon, cell in cells_of(table, column).items()
        )
        series.append(f"{column.title} {rates}")
    return f"Line chart of success rates. {'; '.join(series)}."
