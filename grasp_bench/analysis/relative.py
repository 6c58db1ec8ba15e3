"""Tables times to success in passes of the reference workload, which compare across machines."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grasp_bench.analysis.aggregate import ResultTable
from grasp_bench.analysis.sheet import NOTHING, Entry, Sheet
from grasp_bench.core.errors import UserError
from grasp_bench.run.failures import judged

_READING = (
    "Median time to success over successes, in passes of the reference workload: a trial's seconds "
    "over those that the workload took on the same machine just before. The range is that of the "
    "medians by machine, where there are several."
)


def relative_sheet(table: ResultTable, trials: pd.DataFrame) -> Sheet:
    """Makes a sheet of the table's trials, planners down and horizons across.

    Raises:
        UserError: the trials count candidates or final plans, which have no seconds, or have not
            timed the reference workload.
    """
    if table.unit != "s":
        raise UserError("--kind relative needs seconds: --clock wall and --outcome first")
    trials = judged(trials)
    passes = trials["time_to_success"] / trials["reference_seconds"]
    if passes.isna().all() and trials["time_to_success"].notna().any():
        raise UserError("these results have no times of the reference workload")
    timed = trials.assign(passes=passes, machine=_machine(trials)).dropna(subset="passes")
    records, rows = [], []
    for column in table.contenders:
        line = [Entry(column.title)]
        for row in table.rows:
            here = (timed["planner_label"] == column.label) & (timed["horizon"] == row.horizon)
            own = timed[here]
            line.append(_entry(own))
            medians = own.groupby("machine")["passes"].median()
            records += [
                {"horizon": row.horizon, "planner": column.label, "machine": machine,
                 "median_passes": float(median)}
                for machine, median in medians.items()
            ]  # fmt: skip
        rows.append(line)
    headings = ["Planner", *(f"H={row.horizon}" for row in table.rows)]
    return Sheet(headings, rows, records, [_READING, *table.notes])


def _machine(trials: pd.DataFrame) -> pd.Series:
    cpu = trials["cpu"].astype(str)
    return trials["accelerator"].astype(object).where(trials["accelerator"].notna(), cpu)


def _entry(own: pd.DataFrame) -> Entry:
    if own.empty:
        return Entry(NOTHING)
    medians = own.groupby("machine")["passes"].median()
    low, high = medians.min(), medians.max()
    between = f"[{low:.3g}, {high:.3g}] on {len(medians)} machines" if len(medians) > 1 else ""
    return Entry(f"{np.median(own['passes']):.3g}", between)
