"""Lays out the paper's table: horizons down, planners across, success / median time."""

from __future__ import annotations

from grasp_bench.analysis.aggregate import Cell, ResultTable, TableColumn, TableRow
from grasp_bench.analysis.footnotes import INTERVALS_NOTE
from grasp_bench.analysis.published import Published
from grasp_bench.analysis.sheet import NOTHING, Entry, Sheet

_OVER_ALL = (
    "restricted_mean_time", "restricted_mean_low", "restricted_mean_high",
    "kaplan_meier_median_time", "kaplan_meier_median_low", "kaplan_meier_median_high",
)  # fmt: skip


def results_sheet(table: ResultTable, intervals: bool = True) -> Sheet:
    """Makes the table's sheet; its records have intervals and counts even if cells have not."""
    headings = ["Horizon"]
    for column in table.columns:
        headings += [column.title, *(f"{column.title} ({s.name})" for s in column.published)]
    return Sheet(
        headings=headings,
        rows=[_row(table, row, intervals) for row in table.rows],
        records=[_record(table, row) for row in table.rows],
        notes=[*([INTERVALS_NOTE] if intervals else []), *table.reading, *table.notes],
    )


def _row(table: ResultTable, row: TableRow, intervals: bool) -> list[Entry]:
    line = [Entry(f"H={row.horizon}")]
    for column in table.columns:
        line.append(cell_entry(row.cells.get(column.label), column, table.unit, intervals))
        for cells in column.published.values():
            line.append(Entry(_published(cells.get(row.horizon)), dim=True))
    return line


def cell_entry(cell: Cell | None, column: TableColumn, unit: str, intervals: bool) -> Entry:
    """Shows a planner at a horizon."""
    if cell is None:
        return Entry(NOTHING)
    below = _uncertainty(cell, column, unit) if intervals else ""
    return Entry(_result(cell, column, unit), below, bold=cell.best)


def _record(table: ResultTable, row: TableRow) -> dict[str, object]:
    """Returns the unrounded numbers of a horizon."""
    record: dict[str, object] = {"horizon": row.horizon}
    for column in table.columns:
        numbers = cell_numbers(row.cells.get(column.label))
        record |= {f"{column.label}_{name}": value for name, value in numbers.items()}
        for source, cells in column.published.items():
            success, seconds = cells.get(row.horizon) or (None, None)
            head = f"{column.label}_{source.name}"
            record |= {f"{head}_success": success, f"{head}_median_seconds": seconds}
    return record


def cell_numbers(cell: Cell | None) -> dict[str, object]:
    """Returns all numbers of a planner at a horizon, unrounded; None where it was not run."""
    names = (
        "success", "success_low", "success_high", "n", "raised", "planless",
        "median_time", "time_low", "time_high", *_OVER_ALL,
        "best", "p_against_best", "difference_low", "difference_high",
    )  # fmt: skip
    if cell is None:
        return dict.fromkeys(names)
    time, against = cell.time or (None, None), cell.against_best
    values = (
        cell.rate, *cell.success, cell.trials, *cell.not_run, cell.median_time, *time,
        *over_all_numbers(cell).values(), cell.best,
        *((against.p_value, *against.difference) if against else (None, None, None)),
    )  # fmt: skip
    return dict(zip(names, values, strict=True))


def over_all_numbers(cell: Cell) -> dict[str, float | None]:
    """Returns times to success over all trials, unrounded; None where there are none."""
    mean, median = cell.mean_of_all, cell.median_of_all
    values = (mean.time, *mean.interval, *median) if mean and median else [None] * 6
    return dict(zip(_OVER_ALL, values, strict=True))


def _result(cell: Cell, column: TableColumn, unit: str) -> str:
    rate = f"{cell.rate:.1%}{cell.not_run.suffix}"
    if column.bound or not unit:
        return rate
    return f"{rate} / {time_text(cell.median_time, unit)}"


def _uncertainty(cell: Cell, column: TableColumn, unit: str) -> str:
    low, high = cell.success
    success = f"[{100 * low:.1f}, {100 * high:.1f}]"
    if column.bound or cell.time is None:
        return f"{success} n={cell.trials}"
    fastest, slowest = (time_text(value, unit).removesuffix(f" {unit}") for value in cell.time)
    return f"{success} / [{fastest}, {slowest}] n={cell.trials}"


def _published(cell: Published | None) -> str:
    if cell is None:
        return NOTHING
    if cell.median_seconds is None and cell.success:
        return f"{cell.success:.1%}"
    return f"{cell.success:.1%} / {time_text(cell.median_seconds, 's')}"


def time_text(value: float | None, unit: str) -> str:
    """Writes a time as tables show it, such as "0.04 s"."""
    if value is None:
        return NOTHING
    digits = 2 if unit == "s" and value < 1 else 1 if unit == "s" else 0
    return f"{value:.{digits}f} {unit}"
