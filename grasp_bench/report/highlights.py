"""The trials worth watching: each planner's quickest success and its widest miss."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from grasp_bench.report.rows import ResultTable

HIGHLIGHT_COLUMNS = (
    "trial_key", "planner_label", "success", "time_to_success", "blind_block_distance",
)  # fmt: skip


@dataclass(frozen=True)
class Highlight:
    """One trial to show.

    Attributes:
        title: planner and what is special about the trial.
        trial_key: of its row.
    """

    title: str
    trial_key: str


def highlights(table: ResultTable, trials: pd.DataFrame) -> list[Highlight]:
    """Per planner at the longest horizon: its quickest success and its failure farthest off."""
    horizon = table.rows[-1].horizon
    finished = trials.loc[
        (trials["status"] == "ok") & (trials["horizon"] == horizon), list(HIGHLIGHT_COLUMNS)
    ]
    chosen = []
    for column in table.columns:
        if column.bound:
            continue
        own = finished[finished["planner_label"] == column.label].set_index("trial_key")
        solved = own["success"].astype(bool)
        quick = own["time_to_success"][solved].dropna().sort_values(kind="stable")
        missed = own["blind_block_distance"][~solved].dropna().sort_values(kind="stable")
        if len(quick):
            chosen.append(
                Highlight(f"{column.title}, quickest success at H={horizon}", str(quick.index[0]))
            )
        if len(missed):
            chosen.append(
                Highlight(f"{column.title}, widest miss at H={horizon}", str(missed.index[-1]))
            )
    return chosen
