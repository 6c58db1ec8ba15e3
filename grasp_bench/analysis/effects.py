"""Compares runs of the same planners on the same tasks that differ in a setting or the model."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from grasp_bench.analysis import Outcome
from grasp_bench.analysis.aggregate import build_table
from grasp_bench.analysis.footnotes import protocol_notes
from grasp_bench.analysis.paired_tests import Pairing, paired
from grasp_bench.analysis.sheet import NOTHING, Entry, Sheet, difference_text
from grasp_bench.analysis.stats import SIGNIFICANCE
from grasp_bench.core.errors import UserError
from grasp_bench.run.failures import judged
from grasp_bench.run.schema import SETTINGS_COLUMNS

_READING = (
    "Success rate of the first run, and by how many points that of another run is higher on the "
    "tasks that both have tried, with its 95% bootstrap interval and the exact McNemar p-value, "
    f"not corrected for their number. An asterisk: p < {SIGNIFICANCE}."
)
# What follows from a column that is named already.
_IMPLIED = ("model_sha256", "model_source", "model_file_sha256")


def effects_sheet(runs: Sequence[pd.DataFrame], outcome: Outcome) -> Sheet:
    """Makes a sheet of planners and horizons down, and what each further run changes across.

    Raises:
        UserError: there is one run only, one does not differ from the first, or its tasks are
            others.
    """
    if len(runs) < 2:
        raise UserError("--kind effects compares further results with the first: name several")
    first, *others = (judged(run) for run in runs)
    names = [_difference(first, other) for other in others]
    table = build_table(first, outcome)
    rows, records = [], []
    changes: dict[str, list[float]] = {name: [] for name in names}
    for column in table.columns:
        for row in table.rows:
            cell = row.cells.get(column.label)
            if cell is None or column.bound:
                continue
            base = _trials(first, column.label, row.horizon)
            entries = [Entry(column.title), Entry(f"H={row.horizon}"), Entry(f"{cell.rate:.1%}")]
            record: dict[str, object] = {
                "planner": column.label, "horizon": row.horizon, "rate": cell.rate,
            }  # fmt: skip
            for name, other in zip(names, others, strict=True):
                against = paired(
                    _trials(other, _same(column.label, first, other), row.horizon), base
                )
                entries.append(_entry(against))
                record |= _numbers(name, against)
                if against is not None:
                    changes[name].append(against.change)
            rows.append(entries)
            records.append(record)
    return Sheet(
        headings=["Planner", "Horizon", "First run", *names],
        rows=rows,
        records=records,
        notes=[_READING, *_directions(changes), "The first run:", *protocol_notes(first)],
        labels=2,
    )


def _difference(first: pd.DataFrame, other: pd.DataFrame) -> str:
    """Names the settings that one run has and the first has not, such as "goal_steps=3"."""
    one, two = (run[list(SETTINGS_COLUMNS)].iloc[0] for run in (first, other))
    if one["task_set_sha256"] != two["task_set_sha256"]:
        raise UserError("--kind effects pairs trials of the same tasks: these are of other tasks")
    changed = [name for name in SETTINGS_COLUMNS if _text(one[name]) != _text(two[name])]
    named = [name for name in changed if name not in _IMPLIED] or changed
    if not named:
        raise UserError("--kind effects: one of the results has the settings of the first")
    return ", ".join(f"{name}={_text(two[name])}" for name in named)


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _same(label: str, first: pd.DataFrame, other: pd.DataFrame) -> str:
    """Returns a planner's label in another run.

    A model without tuned hyperparameters has labels of its own: a planner with one
    configuration in each run is the same one.
    """
    planner = first["planner"][first["planner_label"] == label].iloc[0]
    names = [run["planner_label"][run["planner"] == planner].unique() for run in (first, other)]
    return str(names[1][0]) if [len(own) for own in names] == [1, 1] else label


def _trials(run: pd.DataFrame, label: str, horizon: int) -> pd.DataFrame:
    return run[(run["planner_label"] == label) & (run["horizon"] == horizon)]


def _entry(against: Pairing | None) -> Entry:
    if against is None:
        return Entry(NOTHING)
    change, *interval = (100 * value for value in (against.change, *against.difference))
    return Entry(difference_text(change, interval, against.p_value, "+.1f"))


def _numbers(name: str, against: Pairing | None) -> dict[str, object]:
    low, high = against.difference if against else (None, None)
    return {
        f"{name}: tasks": against and against.tasks,
        f"{name}: difference": against and against.change,
        f"{name}: difference_low": low,
        f"{name}: difference_high": high,
        f"{name}: p_value": against and against.p_value,
    }


def _directions(changes: dict[str, list[float]]) -> list[str]:
    """Counts the cells in which each run solves more, and in which fewer."""
    counts = {
        name: [sum(sign * v > 0 for v in own) for sign in (1, -1)] for name, own in changes.items()
    }
    return [
        f"{name}: more in {more} cells, fewer in {less}." for name, (more, less) in counts.items()
    ]
