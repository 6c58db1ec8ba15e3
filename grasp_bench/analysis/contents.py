"""Tables what results hold: trials by planner and horizon, settings, versions, hardware."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from grasp_bench.analysis.sheet import NOTHING, Entry, Sheet
from grasp_bench.run.failures import not_run, not_run_notes
from grasp_bench.run.schema import SCHEMA_VERSION, SETTINGS_COLUMNS, SYSTEM


def contents_sheets(trials: pd.DataFrame) -> list[Sheet]:
    """Makes sheets of trials, settings and systems."""
    return [
        _trials(trials),
        _properties("Settings", trials, SETTINGS_COLUMNS),
        _properties("System", trials, [c.name for c in SYSTEM if c.name != "started_at"]),
    ]


def _trials(trials: pd.DataFrame) -> Sheet:
    horizons = sorted(map(int, trials["horizon"].unique()))
    cells = dict(iter(trials.groupby(["planner_label", "horizon"])))
    rows, records = [], []
    for label in sorted(map(str, trials["planner_label"].unique())):
        row = [Entry(label)]
        for horizon in horizons:
            own = cells.get((label, horizon), trials[:0])
            count = {"trials": len(own), **not_run(own)._asdict()}
            row.append(Entry(f"{len(own)}{not_run(own).suffix}" if len(own) else NOTHING))
            records.append({"planner": label, "horizon": horizon, **count})
        rows.append(row)
    hours = trials["wall_seconds"].sum() / 3600
    first, last = trials["started_at"].min(), trials["started_at"].max()
    return Sheet(
        headings=["Trials", *(f"H={horizon}" for horizon in horizons)],
        rows=rows,
        records=records,
        notes=[
            f"{len(trials)} trials, started {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, "
            f"{hours:.2g} hours of work; schema version {SCHEMA_VERSION}.",
            *not_run_notes(trials, {}),
        ],
    )


def _properties(title: str, trials: pd.DataFrame, columns: Sequence[str]) -> Sheet:
    values = {name: _value(trials[name]) for name in columns}
    return Sheet(
        headings=["Column", "Value"],
        rows=[[Entry(name), Entry(value)] for name, value in values.items()],
        records=[{"column": name, "value": value} for name, value in values.items()],
        title=title,
        labels=2,
    )


def _value(column: pd.Series) -> str:
    """Lists the values of a column, the most frequent first, or gives the range of numbers."""
    if column.isna().all():
        return NOTHING
    if column.dtype.kind == "f" and column.nunique() > 1:
        return f"{column.min():.4g} to {column.max():.4g}"
    counts = column.astype("string").fillna("unknown").value_counts()
    if len(counts) == 1:
        return str(counts.index[0])
    return ", ".join(f"{value} ({count} trials)" for value, count in counts.items())
