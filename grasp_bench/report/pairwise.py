"""Every planner against every other, horizon by horizon."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from grasp_bench.errors import UserError
from grasp_bench.report.pairing import Pairing, paired
from grasp_bench.report.rows import ResultTable, TableColumn
from grasp_bench.report.sheet import NOTHING, Entry, Sheet, p_value_text
from grasp_bench.stats import POWER, SIGNIFICANCE, holm_adjusted


@dataclass(frozen=True)
class _Duel:
    """Two planners, their pairing and its p-value among all of the matrix (Holm)."""

    one: TableColumn
    other: TableColumn
    pairing: Pairing
    p_adjusted: float


def pairwise_sheets(table: ResultTable, trials: pd.DataFrame) -> list[Sheet]:
    """A matrix per horizon, and one over all of them, of the trials that the table is of.

    Raises:
        UserError: fewer than two planners share tasks.
    """
    finished = trials[trials["status"] == "ok"]
    planners = [column for column in table.columns if not column.bound]
    outcomes = finished[["task_id", "horizon", "planner_label", "success"]]
    groups = {
        f"H={row.horizon}": outcomes[outcomes["horizon"] == row.horizon] for row in table.rows
    }
    if len(groups) > 1:
        groups["all horizons"] = outcomes
    sheets = []
    for title, group in groups.items():
        duels = _duels(planners, group)
        if duels:
            sheets.append(_sheet(title, planners, duels))
    if not sheets:
        raise UserError("a pairwise table needs two planners that have tried the same tasks")
    sheets[-1].notes.extend([_READING, *table.notes])
    return sheets


_READING = (
    "Success rate of the row's planner minus the column's, in points, on the tasks that both "
    "have tried. Small print: 95% bootstrap interval, exact McNemar p-value after Holm's "
    f"correction for all pairs of the matrix (bold: below {SIGNIFICANCE}), and for pairs not told "
    f"apart the smallest difference in points that the test finds with {POWER:.0%} power."
)


def _duels(planners: list[TableColumn], trials: pd.DataFrame) -> list[_Duel]:
    own = {column.label: trials[trials["planner_label"] == column.label] for column in planners}
    pairings = [
        (one, other, pairing)
        for one, other in itertools.combinations(planners, 2)
        if (pairing := paired(own[one.label], own[other.label])) is not None
    ]
    adjusted = holm_adjusted([pairing.p_value for _, _, pairing in pairings])
    return [_Duel(*found, p) for found, p in zip(pairings, adjusted, strict=True)]


def _sheet(title: str, planners: list[TableColumn], duels: list[_Duel]) -> Sheet:
    entries: dict[tuple[str, str], Entry] = {}
    for duel in duels:
        entries[duel.one.label, duel.other.label] = _entry(duel, sign=1)
        entries[duel.other.label, duel.one.label] = _entry(duel, sign=-1)
    rows = [
        [
            Entry(row.title),
            *(entries.get((row.label, column.label), Entry(NOTHING)) for column in planners),
        ]
        for row in planners
    ]
    headings = ["Row minus column", *(column.title for column in planners)]
    return Sheet(headings, rows, list(_records(title, duels)), title=title)


def _entry(duel: _Duel, sign: int) -> Entry:
    pairing = duel.pairing
    # Adding zero takes the sign from a negative one.
    change, low, high = (
        100 * sign * value + 0.0 for value in (pairing.change, *pairing.difference[::sign])
    )
    told_apart = duel.p_adjusted < SIGNIFICANCE
    detectable = "" if told_apart else f", finds {100 * pairing.detectable:.0f}"
    return Entry(
        f"{change:+.1f}",
        f"[{low:+.1f}, {high:+.1f}] p {p_value_text(duel.p_adjusted)}{detectable}",
        bold=told_apart,
    )


def _records(title: str, duels: list[_Duel]) -> Iterator[dict[str, object]]:
    for duel in duels:
        pairing = duel.pairing
        yield {
            "horizon": title.removeprefix("H="),
            "planner": duel.one.label,
            "other": duel.other.label,
            "tasks": pairing.tasks,
            "difference": pairing.change,
            "difference_low": pairing.difference.low,
            "difference_high": pairing.difference.high,
            "p_value": pairing.p_value,
            "p_adjusted": duel.p_adjusted,
            "discordance": pairing.discordance,
            "detectable_difference": pairing.detectable,
        }
