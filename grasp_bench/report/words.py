"""The statistics of a table in sentences, horizon by horizon."""

from __future__ import annotations

from dataclasses import dataclass

from grasp_bench.report.rows import Cell, ResultTable, TableColumn, TableRow
from grasp_bench.report.sheet import p_value_text
from grasp_bench.stats import SIGNIFICANCE


@dataclass(frozen=True)
class Findings:
    """What one horizon shows."""

    horizon: int
    sentences: list[str]


def findings(table: ResultTable) -> list[Findings]:
    """Who solves most at every horizon, who cannot be told from it, and who solves fewer."""
    return [Findings(row.horizon, _sentences(table, row)) for row in table.rows]


def _sentences(table: ResultTable, row: TableRow) -> list[str]:
    ran = [
        (column, row.cells[column.label]) for column in table.columns if column.label in row.cells
    ]
    planners = [(column, cell) for column, cell in ran if not column.bound]
    sentences = []
    if planners:
        best_column, best = max(planners, key=lambda pair: pair[1].rate)
        if best.successes == 0:
            sentences.append("No planner solved a task.")
        else:
            sentences.append(_of_the_best(best_column, best, table.unit))
            sentences.append(_mean_times(planners, table.clock_unit))
            sentences.append(_half_solved(planners, table.clock_unit))
            others = sorted(planners, key=lambda pair: -pair[1].rate)
            sentences += [
                _against(column, cell, best_column)
                for column, cell in others
                if column is not best_column
            ]
    bounds = [f"{column.title} {cell.rate:.1%}" for column, cell in ran if column.bound]
    if bounds:
        sentences.append(f"Floors and ceiling: {', '.join(bounds)}.")
    return sentences


def _of_the_best(column: TableColumn, cell: Cell, unit: str) -> str:
    time = ""
    if cell.median_time is not None and cell.time is not None:
        time = (
            f"; half of its successes came within {cell.median_time:.3g} {unit} "
            f"[{cell.time.low:.3g}, {cell.time.high:.3g}]"
        )
    return (
        f"{column.title} solves most: {cell.successes} of {cell.trials} tasks, {cell.rate:.1%} "
        f"[{100 * cell.success.low:.1f}, {100 * cell.success.high:.1f}]{time}."
    )


def _mean_times(planners: list[tuple[TableColumn, Cell]], unit: str) -> str:
    means = [
        (column.title, cell.time_to_success.mean)
        for column, cell in planners
        if cell.time_to_success
    ]
    times = ", ".join(
        f"{title} {mean.time:.3g} {unit} [{mean.interval.low:.3g}, {mean.interval.high:.3g}]"
        for title, mean in sorted(means, key=lambda pair: pair[1].time)
    )
    return f"Mean time to a solution, failures counted as the whole budget: {times}."


def _half_solved(planners: list[tuple[TableColumn, Cell]], unit: str) -> str:
    medians = [
        (column.title, cell.time_to_success.median)
        for column, cell in planners
        if cell.time_to_success
    ]
    reached = sorted(
        (median.time, title, median) for title, median in medians if median.time is not None
    )
    if not reached:
        return "No planner solves half of all tasks."
    times = ", ".join(
        f"{title} {time:.3g} {unit} [{_or_never(median.low)}, {_or_never(median.high)}]"
        for time, title, median in reached
    )
    others = "; by no other planner" if len(reached) < len(planners) else ""
    return f"Half of all tasks are solved within: {times}{others}."


def _or_never(time: float | None) -> str:
    return "never" if time is None else f"{time:.3g}"


def _against(column: TableColumn, cell: Cell, best: TableColumn) -> str:
    share = f"{column.title} solves {cell.rate:.1%}"
    against = cell.against_best
    if against is None:
        return f"{share}, but shares no task with {best.title}, so no paired test is possible."
    low, high = (100 * bound for bound in against.difference)
    numbers = (
        f"95% interval of the difference {low:+.1f} to {high:+.1f} points, "
        f"exact McNemar p {p_value_text(against.p_value)}"
    )
    if against.p_value >= SIGNIFICANCE:
        return f"{share}, which these tasks do not tell from {best.title} ({numbers})."
    return f"{share}, fewer than {best.title} on the same tasks ({numbers})."
