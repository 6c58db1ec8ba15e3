"""How soon planners solve tasks, with those counted that they never solve."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from grasp_bench.errors import UserError
from grasp_bench.report.pairing import Race, race
from grasp_bench.report.rows import Cell, ResultTable, Waiting
from grasp_bench.report.sheet import NOTHING, Entry, Sheet, p_value_text
from grasp_bench.report.table import time_text
from grasp_bench.stats import SIGNIFICANCE

_READING = (
    "Time by which half of all tasks are solved (Kaplan-Meier median) / mean time to success, a "
    "failure counted as the whole budget. Bold: the least mean at its horizon, and what an exact "
    f"sign test of who solves a task sooner does not tell from it (p >= {SIGNIFICANCE})."
)
_INTERVALS = (
    "Small print: 95% intervals of both (Brookmeyer and Crowley, Greenwood); tasks that the "
    "planner solves sooner : later than the one of least mean, and the test's p-value."
)


def times_sheet(table: ResultTable, trials: pd.DataFrame, intervals: bool = True) -> Sheet:
    """Planners down and horizons across, of the trials that the table is of.

    The median over solved tasks flatters a planner that solves the easiest alone; these
    numbers do not. `intervals` puts the small print into the cells.

    Raises:
        UserError: the table is of plans committed to, which have no time to success.
    """
    if not table.unit:
        raise UserError("a plan committed to has no time to success: use --outcome first")
    finished = trials[trials["status"] == "ok"]
    budget = float(finished["budget"].iloc[0])
    # Counted, both are in candidates; the median over successes is in iterations.
    unit = table.unit if table.unit == "s" else "candidates"
    planners = [column for column in table.columns if not column.bound]
    rows = [[Entry(column.title)] for column in planners]
    records: list[dict[str, object]] = []
    for row in table.rows:
        cells = {c.label: row.cells[c.label] for c in planners if c.label in row.cells}
        races = _races(cells, finished[finished["horizon"] == row.horizon])
        for column, line in zip(planners, rows, strict=True):
            cell, against = cells.get(column.label), races.get(column.label)
            if cell is None or cell.waiting is None:
                line.append(Entry(NOTHING))
                continue
            line.append(_entry(cell.waiting, against, budget, unit, intervals))
            records.append(
                {
                    "horizon": row.horizon,
                    "planner": column.label,
                    **_numbers(cell, cell.waiting, against),
                }
            )
    headings = ["Planner", *(f"H={row.horizon}" for row in table.rows)]
    notes = [_READING, *([_INTERVALS] if intervals else []), *table.notes]
    return Sheet(headings, rows, records, notes)


def _races(cells: Mapping[str, Cell], trials: pd.DataFrame) -> dict[str, Race]:
    """Every planner against the one of least mean, that one included; none without a success."""
    means = {
        label: cell.waiting.mean.time
        for label, cell in cells.items()
        if cell.waiting and cell.successes
    }
    if not means:
        return {}
    own = {label: trials[trials["planner_label"] == label] for label in cells}
    fastest = own[min(means, key=means.__getitem__)]
    return {label: found for label, rows in own.items() if (found := race(rows, fastest))}


def _entry(
    waiting: Waiting, against: Race | None, budget: float, unit: str, intervals: bool
) -> Entry:
    def shown(time: float | None) -> str:
        return f"> {time_text(budget, unit)}" if time is None else time_text(time, unit)

    def between(low: float | None, high: float | None) -> str:
        return f"[{shown(low)}, {shown(high)}]".replace(f" {unit}", "")

    median, mean = waiting.median, waiting.mean
    below = f"{between(median.low, median.high)} / {between(*mean.interval)}"
    if against is not None and against.sooner + against.later:
        below += f" {against.sooner} : {against.later}, p {p_value_text(against.p_value)}"
    return Entry(
        f"{shown(median.time)} / {shown(mean.time)}",
        below if intervals else "",
        bold=against is not None and against.p_value >= SIGNIFICANCE,
    )


def _numbers(cell: Cell, waiting: Waiting, against: Race | None) -> dict[str, object]:
    return {
        "n": cell.trials,
        "success": cell.rate,
        "kaplan_meier_median_time": waiting.median.time,
        "kaplan_meier_median_low": waiting.median.low,
        "kaplan_meier_median_high": waiting.median.high,
        "restricted_mean_time": waiting.mean.time,
        "restricted_mean_low": waiting.mean.interval.low,
        "restricted_mean_high": waiting.mean.interval.high,
        "sooner_than_fastest": against.sooner if against else None,
        "later_than_fastest": against.later if against else None,
        "p_against_fastest": against.p_value if against else None,
    }
