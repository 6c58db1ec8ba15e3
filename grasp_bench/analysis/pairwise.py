"""Compares every planner with every other, or one with all others, horizon by horizon."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pandas as pd

from grasp_bench.analysis.aggregate import ResultTable, TableColumn
from grasp_bench.analysis.paired_tests import Pairing, paired
from grasp_bench.analysis.sheet import NOTHING, Entry, Sheet, p_value_text
from grasp_bench.analysis.stats import POWER, SIGNIFICANCE, holm_adjusted
from grasp_bench.core.errors import UserError
from grasp_bench.core.registry import find
from grasp_bench.run.failures import judged

# Pairs of planner labels that share tasks: the comparison, and its p-value corrected for all.
_Compared = dict[tuple[str, str], tuple[Pairing, float]]


def pairwise_sheets(table: ResultTable, trials: pd.DataFrame) -> list[Sheet]:
    """Makes a matrix per horizon, and one over all, of the trials that the table is of.

    Raises:
        UserError: fewer than two planners share tasks.
    """
    sheets = []
    for title, group in _groups(table, trials).items():
        compared = _compared(group, itertools.combinations([c.label for c in table.contenders], 2))
        if compared:
            sheets.append(_matrix(title, table.contenders, compared))
    if not sheets:
        raise UserError("a pairwise table needs two planners that have tried the same tasks")
    sheets[-1].notes.extend(
        [_reading("the row's planner minus the column's", "all pairs of the matrix"), *table.notes]
    )
    return sheets


def against_sheet(table: ResultTable, trials: pd.DataFrame, label: str) -> Sheet:
    """Makes a sheet of one planner minus each other, horizons and all of them across.

    Raises:
        UserError: there is no such planner, or no other has tried its tasks.
    """
    one = find("planner of the table", label, {c.label: c for c in table.contenders})
    others = [column for column in table.contenders if column is not one]
    rows, records = [[Entry(column.title)] for column in others], []
    groups = _groups(table, trials)
    for title, group in groups.items():
        compared = _compared(group, [(one.label, column.label) for column in others])
        records += _records(title, compared)
        for row, column in zip(rows, others, strict=True):
            found = compared.get((one.label, column.label))
            row.append(_entry(*found, sign=1) if found else Entry(NOTHING))
    if not records:
        raise UserError(f"no other planner has tried the tasks of '{label}'")
    reading = _reading(f"{one.title} minus that of the row's planner", "all of its column")
    return Sheet([f"{one.title} minus", *groups], rows, records, notes=[reading, *table.notes])


def _groups(table: ResultTable, trials: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Returns the outcomes of each horizon and, where there are several, of all."""
    outcomes = judged(trials)[["task_id", "horizon", "planner_label", "success"]]
    groups = {
        f"H={row.horizon}": outcomes[outcomes["horizon"] == row.horizon] for row in table.rows
    }
    if len(groups) > 1:
        # Horizons may have tasks of the same name.
        tasks = outcomes.groupby(["horizon", "task_id"], observed=True).ngroup()
        groups["all horizons"] = outcomes.assign(task_id=tasks)
    return groups


def _compared(trials: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> _Compared:
    own = dict(list(trials.groupby("planner_label", observed=True)))
    pairings = {
        (one, other): pairing
        for one, other in pairs
        if one in own and other in own and (pairing := paired(own[one], own[other])) is not None
    }
    adjusted = holm_adjusted([pairing.p_value for pairing in pairings.values()])
    return {
        pair: (pairing, p_adjusted)
        for (pair, pairing), p_adjusted in zip(pairings.items(), adjusted, strict=True)
    }


def _matrix(title: str, planners: list[TableColumn], compared: _Compared) -> Sheet:
    entries = {}
    for (one, other), found in compared.items():
        entries[one, other] = _entry(*found, sign=1)
        entries[other, one] = _entry(*found, sign=-1)
    rows = [
        [Entry(row.title), *(entries.get((row.label, c.label), Entry(NOTHING)) for c in planners)]
        for row in planners
    ]
    headings = ["Row minus column", *(column.title for column in planners)]
    return Sheet(headings, rows, _records(title, compared), title=title)


def _records(title: str, compared: _Compared) -> list[dict[str, object]]:
    return [
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
        for (one, other), (pairing, p_adjusted) in compared.items()
    ]


def _reading(difference: str, family: str) -> str:
    return (
        f"Success rate of {difference}, in points, on the tasks that both have tried. Small "
        "print: the 95% bootstrap interval and the exact McNemar p-value after Holm's correction "
        f"for {family}. Bold: p < {SIGNIFICANCE}. Other pairs show the smallest difference in "
        f"points that the test finds with {POWER:.0%} power."
    )


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
