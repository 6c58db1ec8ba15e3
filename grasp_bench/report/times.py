"""How soon planners solve tasks, with those counted that they never solve."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from grasp_bench.errors import UserError
from grasp_bench.report.pairing import SignTest, sign_test
from grasp_bench.report.rows import Cell, ResultTable, TimeToSuccess
from grasp_bench.report.sheet import NOTHING, Entry, Sheet, p_value_text
from grasp_bench.report.table import over_all_numbers, time_text
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
    planners = [column for column in table.columns if not column.bound]
    rows = [[Entry(column.title)] for column in planners]
    records: list[dict[str, object]] = []
    for row in table.rows:
        cells = {c.label: row.cells[c.label] for c in planners if c.label in row.cells}
        tests = _sign_tests(cells, finished[finished["horizon"] == row.horizon])
        for column, line in zip(planners, rows, strict=True):
            cell, test = cells.get(column.label), tests.get(column.label)
            if cell is None or cell.time_to_success is None:
                line.append(Entry(NOTHING))
                continue
            line.append(_entry(cell.time_to_success, test, budget, table.clock_unit, intervals))
            place = {"horizon": row.horizon, "planner": column.label}
            records.append(place | _numbers(cell, test))
    headings = ["Planner", *(f"H={row.horizon}" for row in table.rows)]
    notes = [_READING, *([_INTERVALS] if intervals else []), *table.notes]
    return Sheet(headings, rows, records, notes)


def _sign_tests(cells: Mapping[str, Cell], trials: pd.DataFrame) -> dict[str, SignTest]:
    """Every planner against the one of least mean, that one included; none without a success."""
    means = {
        label: cell.time_to_success.mean.time
        for label, cell in cells.items()
        if cell.time_to_success and cell.successes
    }
    if not means:
        return {}
    own = {label: trials[trials["planner_label"] == label] for label in cells}
    fastest = own[min(means, key=means.__getitem__)]
    return {label: test for label, rows in own.items() if (test := sign_test(rows, fastest))}


def _entry(
    time: TimeToSuccess, test: SignTest | None, budget: float, unit: str, intervals: bool
) -> Entry:
    def shown(value: float | None) -> str:
        return f"> {time_text(budget, unit)}" if value is None else time_text(value, unit)

    def between(low: float | None, high: float | None) -> str:
        return f"[{shown(low)}, {shown(high)}]".replace(f" {unit}", "")

    median, mean = time.median, time.mean
    below = f"{between(median.low, median.high)} / {between(*mean.interval)}"
    if test is not None and test.sooner + test.later:
        below += f" {test.sooner} : {test.later}, p {p_value_text(test.p_value)}"
    return Entry(
        f"{shown(median.time)} / {shown(mean.time)}",
        below if intervals else "",
        bold=test is not None and test.p_value >= SIGNIFICANCE,
    )


def _numbers(cell: Cell, test: SignTest | None) -> dict[str, object]:
    return {
        "n": cell.trials,
        "success": cell.rate,
        **over_all_numbers(cell.time_to_success),
        "sooner_than_fastest": test.sooner if test else None,
        "later_than_fastest": test.later if test else None,
        "p_against_fastest": test.p_value if test else None,
    }
