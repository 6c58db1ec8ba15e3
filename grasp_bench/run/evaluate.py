"""Runs trials in this process, without a folder."""

from __future__ import annotations

import pandas as pd

from grasp_bench.core.types import Planner
from grasp_bench.models import LoadedModel
from grasp_bench.planners import PlannerSpec
from grasp_bench.run.launch import check_horizon, run_settings
from grasp_bench.run.store import rows_table, to_frame
from grasp_bench.run.worker import Assignment, WorkUnit, run_tasks
from grasp_bench.tasks import TaskSet
from grasp_bench.trial.protocol import TrialProtocol
from grasp_bench.trial.replay import torch_threads


def evaluate_tasks(
    planner: Planner,
    spec: PlannerSpec,
    loaded: LoadedModel,
    task_set: TaskSet,
    count: int | None,
    protocol: TrialProtocol,
) -> pd.DataFrame:
    """Runs the first `count` tasks, all if None; returns rows as `read_results` does.

    Raises:
        UserError: the horizon is no multiple of the model's frameskip.
    """
    check_horizon(task_set.horizon, loaded.model.frameskip)
    assignment = Assignment(protocol, run_settings(loaded, task_set, protocol), workers=1)
    total = len(task_set.tasks[:count])
    rows = []
    with torch_threads(protocol.threads):
        for begin in range(0, total, protocol.batch):
            end = min(begin + protocol.batch, total)
            unit = WorkUnit(spec, task_set.horizon, begin, end)
            rows += run_tasks(assignment, unit, task_set, loaded, planner)
    return to_frame([rows_table(rows)])
