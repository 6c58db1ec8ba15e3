"""The paper's table: horizons down, planners across, success rate / median time in a cell."""

from __future__ import annotations

from grasp_bench.report.notes import INTERVALS_NOTE
from grasp_bench.report.published import Published
from grasp_bench.report.rows import Cell, ResultTable, TableColumn, TableRow, TimeToSuccess
from grasp_bench.report.sheet import NOTHING, Entry, Sheet

_OVER_ALL = (
    "restricted_mean_time", "restricted_mean_low", "restricted_mean_high",
    "kaplan_meier_median_time", "kaplan_meier_median_low", "kaplan_meier_median_high",
)  # fmt: skip


def results_sheet(table: ResultTable, intervals: bool = True) -> Sheet:
    """The table, with 95% intervals and counts in its cells if asked for; CSV always has them."""
    return Sheet(
        headings=_headings(table),
        rows=[_row(table, row, intervals) for row in table.rows],
        records=[_record(table, row) for row in table.rows],
        notes=[*([INTERVALS_NOTE] if intervals else []), *table.reading, *table.notes],
    )


def _headings(table: ResultTable) -> list[str]:
    headings = ["Horizon"]
    for column in table.columns:
        sources = [source.name for source in column.published]
        headings += [column.title, *(f"{column.title} ({name})" for name in sources)]
    return headings


def _row(table: ResultTable, row: TableRow, intervals: bool) -> list[Entry]:
    line = [Entry(f"H={row.horizon}")]
    for column in table.columns:
        line.append(cell_entry(row.cells.get(column.label), column, table.unit, intervals))
        for cells in column.published.values():
            line.append(Entry(_published(cells.get(row.horizon)), dim=True))
    return line


def cell_entry(cell: Cell | None, column: TableColumn, unit: str, intervals: bool) -> Entry:
    """A planner at a horizon as the table shows it."""
    if cell is None:
        return Entry(NOTHING)
    below = _uncertainty(cell, column, unit) if intervals else ""
    return Entry(_result(cell, column, unit), below, bold=cell.best)


def _record(table: ResultTable, row: TableRow) -> dict[str, object]:
    """One line per horizon; per planner the numbers that the other formats round."""
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
    """All that is known of a planner at a horizon, unrounded; None where it was not run."""
    names = (
        "success", "success_low", "success_high", "n", "median_time", "time_low", "time_high",
        *_OVER_ALL, "best", "p_against_best", "difference_low", "difference_high",
    )  # fmt: skip
    if cell is None:
        return dict.fromkeys(names)
    time, against = cell.time or (None, None), cell.against_best
    values = (
        cell.rate, *cell.success, cell.trials, cell.median_time, *time,
        *over_all_numbers(cell.time_to_success).values(), cell.best,
        *((against.p_value, *against.difference) if against else (None, None, None)),
    )  # fmt: skip
    return dict(zip(names, values, strict=True))


def over_all_numbers(time: TimeToSuccess | None) -> dict[str, float | None]:
    """Times to success over all trials, unrounded; None where there are none."""
    values = (time.mean.time, *time.mean.interval, *time.median) if time else [None] * 6
    return dict(zip(_OVER_ALL, values, strict=True))


def _result(cell: Cell, column: TableColumn, unit: str) -> str:
    if column.bound or not unit:
        return f"{cell.rate:.1%}"
    return f"{cell.rate:.1%} / {time_text(cell.median_time, unit)}"


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
    """A time as tables show it, such as "0.04 s"."""
    if value is None:
        return NOTHING
    digits = 2 if unit == "s" and value < 1 else 1 if unit == "s" else 0
    return f"{value:.{digits}f} {unit}"
