"""What results hold: trials by planner and horizon, settings, versions, hardware."""

from __future__ import annotations

import pandas as pd

from grasp_bench.columns import MACHINE, SETTINGS
from grasp_bench.report.sheet import NOTHING, Entry, Sheet

_PROPERTY_HEADINGS = ["Column", "Value"]


def contents_sheets(trials: pd.DataFrame, schema_version: int) -> list[Sheet]:
    """Trials, settings and machines, a table each; the version is the file's."""
    return [
        _trials(trials, schema_version),
        _properties("Settings", trials, [column.name for column in SETTINGS]),
        _properties(
            "Machine", trials, [column.name for column in MACHINE if column.name != "started_at"]
        ),
    ]


def _trials(trials: pd.DataFrame, schema_version: int) -> Sheet:
    horizons = sorted(map(int, trials["horizon"].unique()))
    counts = trials.groupby(["planner_label", "horizon", "status"]).size()
    rows, records = [], []
    for label in sorted(map(str, trials["planner_label"].unique())):
        row = [Entry(label)]
        for horizon in horizons:
            finished = int(counts.get((label, horizon, "ok"), 0))
            errors = int(counts.get((label, horizon, "error"), 0))
            failed = f", {errors} errors" if errors else ""
            row.append(Entry(f"{finished}{failed}" if finished or errors else NOTHING))
            records.append(
                {"planner": label, "horizon": horizon, "finished": finished, "errors": errors}
            )
        rows.append(row)
    hours = trials["wall_seconds"].sum() / 3600
    first, last = trials["started_at"].min(), trials["started_at"].max()
    return Sheet(
        headings=["Trials", *(f"H={horizon}" for horizon in horizons)],
        rows=rows,
        records=records,
        notes=[
            f"{len(trials)} trials, started {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, "
            f"{hours:.2g} hours of work; schema version {schema_version}."
        ],
    )


def _properties(title: str, trials: pd.DataFrame, columns: list[str]) -> Sheet:
    values = {name: _value(trials[name]) for name in columns}
    return Sheet(
        headings=_PROPERTY_HEADINGS,
        rows=[[Entry(name), Entry(value)] for name, value in values.items()],
        records=[{"column": name, "value": value} for name, value in values.items()],
        title=title,
        labels=2,
    )


def _value(column: pd.Series) -> str:
    """The values of a column, the most frequent first; a range where they are measured."""
    if column.isna().all():
        return NOTHING
    if column.dtype.kind == "f" and column.nunique() > 1:
        return f"{column.min():.4g} to {column.max():.4g}"
    counts = column.astype("string").fillna("unknown").value_counts()
    if len(counts) == 1:
        return str(counts.index[0])
    return ", ".join(f"{value} ({count} trials)" for value, count in counts.items())
