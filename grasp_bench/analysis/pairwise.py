"""Compares every planner with every other, horizon by horizon."""

from __future__ import annotations

import itertools

import pandas as pd

from grasp_bench.analysis.aggregate import ResultTable, TableColumn
from grasp_bench.analysis.paired_tests import Pairing, paired
from grasp_bench.analysis.sheet import NOTHING, Entry, Sheet, p_value_text
from grasp_bench.analysis.stats import POWER, SIGNIFICANCE, holm_adjusted
from grasp_bench.core.errors import UserError
from grasp_bench.run.failures import judged


def pairwise_sheets(table: ResultTable, trials: pd.DataFrame) -> list[Sheet]:
    """Makes a matrix per horizon, and one over all, of the trials that the table is of.

    Raises:
        UserError: fewer than two planners share tasks.
    """
    planners = table.contenders
    outcomes = judged(trials)[["task_id", "horizon", "planner_label", "success"]]
    groups = {
        f"H={row.horizon}": outcomes[outcomes["horizon"] == row.horizon] for row in table.rows
    }
    if len(groups) > 1:
        # Horizons may have tasks of the same name.
        tasks = outcomes.groupby(["horizon", "task_id"], observed=True).ngroup()
        groups["all horizons"] = outcomes.assign(task_id=tasks)
    sheets = [_sheet(title, planners, group) for title, group in groups.items()]
    sheets = [sheet for sheet in sheets if sheet.records]
    if not sheets:
        raise UserError("a pairwise table needs two planners that have tried the same tasks")
    sheets[-1].notes.extend([_READING, *table.notes])
    return sheets


_READING = (
    "Success rate of the row's planner minus the column's, in points, on the tasks that both "
    "have tried. Small print: the 95% bootstrap interval and the exact McNemar p-value after "
    f"Holm's correction for all pairs of the matrix. Bold: p < {SIGNIFICANCE}. Other pairs show "
    f"the smallest difference in points that the test finds with {POWER:.0%} power."
)


def _sheet(title: str, planners: list[TableColumn], trials: pd.DataFrame) -> Sheet:
    own = {column.label: trials[trials["planner_label"] == column.label] for column in planners}
    pairings = {
        pair: pairing
        for pair in itertools.combinations(own, 2)
        if (pairing := paired(*(own[label] for label in pair))) is not None
    }
    # Corrected for all pairs of the matrix.
    adjusted = holm_adjusted([pairing.p_value for pairing in pairings.values()])
    entries, records = {}, []
    for ((one, other), pairing), p_adjusted in zip(pairings.items(), adjusted, strict=True):
        entries[one, other] = _entry(pairing, p_adjusted, sign=1)
        entries[other, one] = _entry(pairing, p_adjusted, sign=-1)
        records.append(
            {
                "horizon": title.removeprefix("H="),
                "planner": one,
                "other": other,
                "tasks": pairing.tasks,
                "difference": pairing.change,
                "difference_low": pairing.difference.low,
                "difference_high": pairing.difference.high,
                "p_value": pairing.p_value,
                "p_adjusted": p_adjusted,
                "discordance": pairing.discordance,
                "detectable_difference": pairing.detectable,
            }
        )
    rows = [
        [Entry(row.title), *(entries.get((row.label, c.label), Entry(NOTHING)) for c in planners)]
        for row in planners
    ]
    headings = ["Row minus column", *(column.title for column in planners)]
    return Sheet(headings, rows, records, title=title)


def _entry(pairing: Pairing, p_adjusted: float, sign: int) -> Entry:
    # Adding zero removes the sign of a negative zero.
    change, low, high = (
        100 * sign * value + 0.0 for value in (pairing.change, *pairing.difference[::sign])
    )
    told_apart = p_adjusted < SIGNIFICANCE
    detectable = "" if told_apart else f", finds {100 * pairing.detectable:.0f}"
    return Entry(
        f"{change:+.1f}",
        f"[{low:+.1f}, {high:+.1f}] p {p_value_text(p_adjusted)}{detectable}",
        bold=told_apart,
    )
