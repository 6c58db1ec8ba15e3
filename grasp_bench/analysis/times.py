"""Tables how soon planners solve tasks, with failures counted."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from grasp_bench.analysis.aggregate import Cell, ResultTable
from grasp_bench.analysis.paired_tests import SignTest, paired_times
from grasp_bench.analysis.results_table import over_all_numbers, time_text
from grasp_bench.analysis.sheet import NOTHING, Entry, Sheet, p_value_text
from grasp_bench.analysis.stats import SIGNIFICANCE
from grasp_bench.core.errors import UserError
from grasp_bench.run.failures import judged

_READING = (
    "Time by which half of all tasks are solved (Kaplan-Meier median) / mean time to success. A "
    "failure counts as the whole budget. Bold: the least mean at its horizon, and what an exact "
    f"sign test of who solves a task sooner does not tell from it (p >= {SIGNIFICANCE})."
)
_INTERVALS = (
    "Small print: 95% intervals of both (Brookmeyer and Crowley, normal); tasks that the planner "
    "solves sooner : later than the one of least mean, and the test's p-value."
)


def times_sheet(table: ResultTable, trials: pd.DataFrame, intervals: bool = True) -> Sheet:
    """Makes a sheet of the table's trials, planners down and horizons across.

    The median over solved tasks flatters a planner that solves only the easiest; these
    numbers do not. `intervals` puts the small print into the cells.

    Raises:
        UserError: the table is of final plans, which have no time to success.
    """
    if not table.unit:
        raise UserError("a final plan has no time to success: use --outcome first")
    trials = judged(trials)
    budgets = trials.groupby("planner_label", observed=True)["budget"].max()
    planners = table.contenders
    rows = [[Entry(column.title)] for column in planners]
    records: list[dict[str, object]] = []
    for row in table.rows:
        cells = {c.label: row.cells[c.label] for c in planners if c.label in row.cells}
        tests = _sign_tests(cells, trials[trials["horizon"] == row.horizon])
        for column, line in zip(planners, rows, strict=True):
            cell, test = cells.get(column.label), tests.get(column.label)
            if cell is None:
                line.append(Entry(NOTHING))
                continue
            line.append(_entry(cell, test, budgets[column.label], table.clock_unit, intervals))
            records.append(
                {
                    "horizon": row.horizon,
                    "planner": column.label,
                    "n": cell.trials,
                    "success": cell.rate,
                    **cell.not_run._asdict(),
                    **over_all_numbers(cell),
                    "sooner_than_fastest": test and test.sooner,
                    "later_than_fastest": test and test.later,
                    "p_against_fastest": test and test.p_value,
                }
            )
    headings = ["Planner", *(f"H={row.horizon}" for row in table.rows)]
    notes = [_READING, *([_INTERVALS] if intervals else []), *table.notes]
    return Sheet(headings, rows, records, notes)


def _sign_tests(cells: Mapping[str, Cell], trials: pd.DataFrame) -> dict[str, SignTest]:
    """Tests every planner against the one of least mean, if any task is solved at all."""
    means = {
        label: cell.mean_of_all.time
        for label, cell in cells.items()
        if cell.mean_of_all and cell.successes
    }
    if not means:
        return {}
    own = {label: trials[trials["planner_label"] == label] for label in cells}
    fastest = own[min(means, key=means.__getitem__)]
    return {label: test for label, rows in own.items() if (test := paired_times(rows, fastest))}


def _entry(cell: Cell, test: SignTest | None, budget: float, unit: str, intervals: bool) -> Entry:
    mean, mean_low, mean_high, median, median_low, median_high = over_all_numbers(cell).values()

    def shown(value: float | None) -> str:
        return f"> {time_text(budget, unit)}" if value is None else time_text(value, unit)

    def between(low: float | None, high: float | None) -> str:
        return f"[{shown(low)}, {shown(high)}]".replace(f" {unit}", "")

    below = f"{between(median_low, median_high)} / {between(mean_low, mean_high)}"
    if test is not None and test.sooner + test.later:
        below += f" {test.sooner} : {test.later}, p {p_value_text(test.p_value)}"
    return Entry(
        f"{shown(median)} / {shown(mean)}{cell.not_run.suffix}",
        below if intervals else "",
        bold=test is not None and test.p_value >= SIGNIFICANCE,
    )
