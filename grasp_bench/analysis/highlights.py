"""Picks the trials worth watching: each planner's quickest success and its widest miss."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from grasp_bench.analysis.aggregate import ResultTable
from grasp_bench.run.failures import judged
from grasp_bench.run.schema import is_distance

HIGHLIGHT_COLUMNS = ("trial_key", "planner_label", "success", "time_to_success")


class Highlight(NamedTuple):
    """Names one trial to show.

    Attributes:
        title: planner and what is special about the trial.
        trial_key: of its row.
    """

    title: str
    trial_key: str


def highlights(table: ResultTable, trials: pd.DataFrame) -> list[Highlight]:
    """Picks a planner's quickest success and its failure farthest off, at the longest horizon.

    How far off a final plan is, the environment's first distance says.
    """
    horizon = table.rows[-1].horizon
    ended = judged(trials[trials["horizon"] == horizon])
    distances = [name for name in trials if is_distance(str(name))]
    chosen = []
    for column in table.contenders:
        own = ended[ended["planner_label"] == column.label].set_index("trial_key")
        solved = own["success"].astype(bool)
        quick = own["time_to_success"][solved].dropna().sort_values(kind="stable")
        if len(quick):
            chosen.append(
                Highlight(f"{column.title}, quickest success at H={horizon}", str(quick.index[0]))
            )
        for distance in distances[:1]:
            missed = own[distance][~solved].dropna().sort_values(kind="stable")
            if len(missed):
                title = f"{column.title}, widest miss at H={horizon}"
                chosen.append(Highlight(title, str(missed.index[-1])))
    return chosen
