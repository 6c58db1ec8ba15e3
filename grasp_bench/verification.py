"""Do the numbers in a results file come back? Trials recomputed from their rows alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grasp_bench.columns import Row
from grasp_bench.errors import UserError
from grasp_bench.problems import trial_seed
from grasp_bench.recreate import (
    PlannedAgain,
    RecordedTrial,
    agreement,
    plan_again,
    recreate,
    row_of,
)
from grasp_bench.trial import realised_costs

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
    """Recompute a random sample of the trials that ended with a plan.

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
        trial = recreate(row, model, device)
        again = plan_again(trial)
        yield CheckedTrial(
            row["trial_key"], _differences(row, _recomputed(trial, again)), agreement(trial, again)
        )


def _recomputed(trial: RecordedTrial, again: PlannedAgain) -> Row:
    """The columns that a plan decides, and the hashes that decide the plan."""
    row, verdict = trial.row, again.verdict
    values: Row = {
        "trial_seed": trial_seed(row["master_seed"], row["task_id"], row["planner"]),
        "planner_config_sha256": hashlib.sha256(row["planner_config"].encode()).hexdigest(),
        "plan_sha256": again.plan_sha256,
    }
    outcome = {
        "success": verdict.success,
        "success_final": verdict.success_final,
        "success_block": verdict.success_block,
    }
    if row["blind_success"] is None:  # it ended at its first success, with this plan
        return values | outcome
    values |= {f"blind_{name}": value for name, value in outcome.items()} | {
        "blind_cost_predicted": again.cost,
        "blind_cost_realised": realised_costs([verdict], trial.model.model, trial.problem.goal)[0],
        "blind_block_distance": verdict.block_distance,
        "blind_block_angle_error": verdict.block_angle_error,
    }
    # An earlier plan may have succeeded; where none did, the last one is the one shown.
    return values if row["success"] else values | outcome


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
