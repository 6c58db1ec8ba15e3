"""Says why final plans failed, from costs that the same world model gives.

The yardstick is c, the goal cost that the model predicts for the task's demonstration, which
does reach the goal. A failed final plan is a failure of

- search: the model predicts more than c for it, so that a better plan was there to be found;
- model: the model predicts at most c, and where the plan really leads costs more than c;
- objective: where the plan really leads costs at most c, and the criterion does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from grasp_bench.analysis.aggregate import TableColumn, build_table
from grasp_bench.analysis.judging import by_outcome
from grasp_bench.analysis.sheet import NOTHING, Entry, Sheet
from grasp_bench.analysis.stats import wilson_interval
from grasp_bench.core.errors import UserError

KINDS = ("search", "model", "objective", "no plan")
FAILURE_COLUMNS = (
    "final_plan_success", "final_plan_cost_predicted", "final_plan_cost_realised",
    "demo_cost_predicted",
)  # fmt: skip
_NOTE = (
    "Why final plans failed, as shares of all trials with 95% Wilson intervals. The yardstick is "
    "the goal cost that the model predicts for the task's demonstration. Search: the model "
    "predicts more for the plan. Model: it predicts no more, but where the plan really leads "
    "costs more. Objective: where it leads costs no more, and the criterion does not hold."
)


def failure_kinds(trials: pd.DataFrame) -> pd.Series:
    """Names the kind of each trial's failure; null where its final plan succeeded.

    Raises:
        UserError: some trials have no final plan, or no cost of their demonstration.
    """
    by_outcome(trials, "final-plan")
    ran = (trials["status"] == "ok") & trials["final_plan_cost_predicted"].notna()
    demonstrated = trials["demo_cost_predicted"]
    if demonstrated[ran].isna().any():
        raise UserError(
            "these results hold no costs of demonstrations: an older version recorded them"
        )
    kinds = pd.Series("objective", index=trials.index, dtype="string")
    kinds[trials["final_plan_cost_realised"] > demonstrated] = "model"
    kinds[trials["final_plan_cost_predicted"] > demonstrated] = "search"
    kinds[~ran] = "no plan"
    return kinds.where(~trials["final_plan_success"].fillna(False).astype(bool))


def failure_counts(trials: pd.DataFrame) -> dict[tuple[str, int], dict[str, int]]:
    """Counts solved trials and each kind of failure, by planner label and horizon."""
    kinds = failure_kinds(trials).fillna("solved")
    counted: dict[tuple[str, int], dict[str, int]] = {}
    for label, horizon, kind in zip(
        trials["planner_label"].astype(str), trials["horizon"], kinds, strict=True
    ):
        cell = counted.setdefault((label, int(horizon)), dict.fromkeys(("solved", *KINDS), 0))
        cell[kind] += 1
    return counted


def failure_sheets(trials: pd.DataFrame) -> list[Sheet]:
    """Makes a sheet per horizon: one planner a row, one kind of failure a column.

    Raises:
        UserError: see `failure_kinds`.
    """
    table = build_table(by_outcome(trials, "final-plan"), "final-plan")
    counted = failure_counts(trials)
    sheets = []
    for horizon in (row.horizon for row in table.rows):
        found = [(c, counted.get((c.label, horizon))) for c in table.columns]
        lines = [_line(column, horizon, counts) for column, counts in found if counts]
        headings, title = ["Planner", "solved", *KINDS], f"H={horizon}"
        rows = [entries for entries, _ in lines]
        sheets.append(Sheet(headings, rows, [record for _, record in lines], title=title))
    sheets[-1].notes.extend([_NOTE, *table.notes])
    return sheets


def _line(
    column: TableColumn, horizon: int, counts: Mapping[str, int]
) -> tuple[list[Entry], dict[str, object]]:
    trials = sum(counts.values())
    entries = [Entry(column.title)]
    record: dict[str, object] = {"horizon": horizon, "planner": column.label, "n": trials}
    for kind in ("solved", *KINDS):
        count = counts[kind]
        low, high = wilson_interval(count, trials)
        below = f"[{100 * low:.1f}, {100 * high:.1f}]" if count else ""
        entries.append(Entry(f"{count / trials:.1%}" if count else NOTHING, below))
        record |= {kind: count / trials, f"{kind}_low": low, f"{kind}_high": high}
    return entries, record
