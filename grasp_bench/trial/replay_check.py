"""Checks that the numbers in a results file come back: computes trials from their rows alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grasp_bench.core.errors import UserError
from grasp_bench.core.seeds import trial_seed
from grasp_bench.core.types import Row
from grasp_bench.trial.outcome import criteria_columns, distance_columns
from grasp_bench.trial.problems import realised_costs
from grasp_bench.trial.replay import (
    RecordedTrial,
    Replay,
    agreement,
    load_trial,
    replay_trial,
    row_of,
)

# Distances and costs are sums of many rounded numbers; a plan that is the same gives them anew.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class CheckedTrial:
    """One trial, recomputed.

    Attributes:
        trial_key: of its row.
        differences: a phrase per column whose number did not come back.
        plan: whether the plan is the row's, and if not, what may have changed it.
    """

    trial_key: str
    differences: list[str]
    plan: str

    @property
    def agrees(self) -> bool:
        """Whether everything came back, the plan bit for bit."""
        return not self.differences


def check_trials(
    trials: pd.DataFrame,
    sample: int,
    seed: int,
    model: str | None = None,
    device: str | None = None,
) -> Iterator[CheckedTrial]:
    """Recomputes a random sample of the trials that ended with a plan.

    A trial on the wall clock is planned up to the number of candidates its row counts, then
    everything that hangs on the plan is computed anew.

    Args:
        trials: as `read_results` gives them.
        sample: how many; all, if there are fewer.
        seed: of the sample.
        model: name or path of the checkpoint; by default found by the rows' hash.
        device: torch device; by default the rows'.

    Raises:
        UserError: no trial has a plan, or a task set, planner or checkpoint is not here.
    """
    planned = trials.index[(trials["status"] == "ok") & trials["plan_sha256"].notna()]
    if planned.empty:
        raise UserError("no trial in these results ended with a plan: there is nothing to check")
    generator = np.random.default_rng(seed)
    chosen = generator.choice(planned, size=min(sample, len(planned)), replace=False)
    for index in sorted(map(int, chosen)):
        row = row_of(trials, index)
        trial = load_trial(row, model, device)
        again = replay_trial(trial)
        yield CheckedTrial(
            row["trial_key"], _differences(row, _recomputed(trial, again)), agreement(trial, again)
        )


def _recomputed(trial: RecordedTrial, again: Replay) -> Row:
    """Computes the columns that a plan decides, and the hashes that decide the plan."""
    row, environment = trial.row, trial.task_set.environment
    values: Row = {
        "trial_seed": trial_seed(row["master_seed"], row["task_id"], row["planner"]),
        "hyperparameters_sha256": hashlib.sha256(row["hyperparameters"].encode()).hexdigest(),
        "plan_sha256": again.plan_sha256,
    }
    first = criteria_columns(environment, again.outcome)
    if row["final_plan_success"] is None:  # it ended at its first success, with this plan
        return values | first
    (realised,) = realised_costs(environment, [again.outcome], trial.problem)
    values |= {
        **criteria_columns(environment, again.outcome, "final_plan_"),
        "final_plan_cost_predicted": again.cost,
        "final_plan_cost_realised": realised,
        **distance_columns(environment, again.outcome),
    }
    # An earlier plan may have succeeded; where none did, the last one is the one shown.
    return values if row["success"] else values | first


def _differences(row: Row, recomputed: Row) -> list[str]:
    return [
        f"{name} is {_shown(value)} instead of {_shown(row[name])}"
        for name, value in recomputed.items()
        if not _same(value, row[name])
    ]


def _same(value: object, recorded: object) -> bool:
    if isinstance(value, float) and isinstance(recorded, float):
        return math.isclose(value, recorded, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return value == recorded


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:12]
