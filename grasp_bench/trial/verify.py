"""Executes stored plans again: no world model, no planner and no torch, on any machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pandas as pd

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import Row, Task
from grasp_bench.tasks import TaskSet, load_tasks
from grasp_bench.trial.outcome import criteria_columns, distance_columns, execute, unpacked

# Plans that end in a column of the results, by the column that holds their actions.
_PLANS = {"success_plan_actions": "", "final_plan_actions": "final_plan_"}


@dataclass(frozen=True)
class Verified:
    """Says what came of executing one stored plan again.

    Attributes:
        trial_key: of its row.
        plan: the column that holds it.
        differs: the columns whose recorded value is another one.
        distance: the largest difference of a distance to the goal, in its unit.
    """

    trial_key: str
    plan: str
    differs: tuple[str, ...]
    distance: float


@dataclass(frozen=True)
class StoredPlan:
    """One plan of a results file: its row, and the column that holds its actions."""

    row: Row
    column: str


def stored_plans(trials: pd.DataFrame) -> Iterator[StoredPlan]:
    """Yields the plans that rows of a results file hold."""
    for row in trials.to_dict("records"):
        named = {str(name): value for name, value in row.items()}
        for column in _PLANS:
            if isinstance(named[column], bytes):
                yield StoredPlan(named, column)


def verify_plan(plan: StoredPlan, tasks: str | None = None) -> Verified:
    """Executes a plan in a fresh simulator from its task's start.

    Args:
        plan: see `stored_plans`.
        tasks: name or path of the task set; by default what the row names.

    Raises:
        UserError: the task set or the task is not here, or the plan has another length.
    """
    row, column = plan.row, plan.column
    task_set, task = _task(row, tasks or row["tasks"])
    actions = unpacked(row[column], task_set.environment)
    if len(actions) != task.horizon:
        raise UserError(
            f"trial {row['trial_key']}: column '{column}' holds {len(actions)} actions, "
            f"not {task.horizon}"
        )
    (outcome,) = execute(task_set.environment, [task], actions[None])
    prefix = _PLANS[column]
    found = criteria_columns(task_set.environment, outcome, prefix)
    differs = [name for name, value in found.items() if name in row and row[name] != value]
    distance = 0.0
    if prefix:
        distances = distance_columns(task_set.environment, outcome)
        distance = max(abs(row[name] - value) for name, value in distances.items())
    return Verified(row["trial_key"], column, tuple(differs), distance)


def _task(row: Row, name: str) -> tuple[TaskSet, Task]:
    task_set, by_id = _tasks(name, int(row["horizon"]))
    if task_set.sha256 != row["task_set_sha256"]:
        raise UserError(
            f"trial {row['trial_key']} is of another '{name}' task set "
            f"({row['task_set_sha256'][:12]}) than there is here ({task_set.sha256[:12]})"
        )
    if row["task_id"] not in by_id:
        raise UserError(f"the task set '{name}' has no task '{row['task_id']}'")
    return task_set, by_id[row["task_id"]]


@cache
def _tasks(name: str, horizon: int) -> tuple[TaskSet, dict[str, Task]]:
    task_set = load_tasks(name, horizon)
    return task_set, {task.id: task for task in task_set.pool}
