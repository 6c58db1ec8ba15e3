"""grasp-bench: a benchmark suite for planning with learned world models.

`grasp_bench.evaluate("grasp", horizon=40, trials=10, budget=2.0)` is the shortest use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grasp_bench.core.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from grasp_bench.core.noise import NoiseStreams
    from grasp_bench.core.types import (
        Candidate,
        Observation,
        Planner,
        Problem,
        Task,
        View,
        WorldModel,
    )
    from grasp_bench.models import LoadedModel, load_model
    from grasp_bench.planners import make_planner
    from grasp_bench.run.store import read_results
    from grasp_bench.tasks import TaskSet, load_tasks

__all__ = [
    "Candidate",
    "NoiseStreams",
    "Observation",
    "Planner",
    "Problem",
    "Task",
    "View",
    "WorldModel",
    "__version__",
    "evaluate",
    "load_model",
    "load_tasks",
    "make_planner",
    "read_results",
]

# Imported when they are asked for: `grasp-bench --help` does not wait for torch.
_ROOMS = {
    "NoiseStreams": "grasp_bench.core.noise",
    "load_model": "grasp_bench.models",
    "load_tasks": "grasp_bench.tasks",
    "make_planner": "grasp_bench.planners",
    "read_results": "grasp_bench.run.store",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in __all__:
        raise AttributeError(f"module 'grasp_bench' has no attribute '{name}'")
    return getattr(importlib.import_module(_ROOMS.get(name, "grasp_bench.core.types")), name)


def evaluate(
    planner: str | Planner,
    *,
    model: str | LoadedModel = "pusht-compact",
    tasks: str | TaskSet = "eval",
    horizon: int | None = None,
    trials: int | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    untuned: bool = False,
    budget: float | None = None,
    **protocol: Any,
) -> pd.DataFrame:
    """Runs a planner on tasks in this process and returns one row per trial.

    The rows are those that `grasp-bench run` writes: same seeds, same plans. Nothing is
    written to disk. A trial in which the planner raised has status `error`.

    Args:
        planner: a name of `grasp-bench planners`, `file.py:Class`, `module:Class`, or a planner.
            A name starts from the hyperparameters tuned for the model, as the command does.
        model: a name, a path, `file.py:make_model`, `module:make_model`, or a loaded model.
        tasks: a name or path of a task set, or a loaded one.
        horizon: H, environment steps; a loaded task set has its own.
        trials: the first N tasks; by default all of a loaded task set, else 50.
        hyperparameters: of the planner, on top.
        untuned: start from the planner's defaults.
        budget: planner seconds per trial, or candidates with `clock="iterations"`.
        **protocol: further fields of `grasp_bench.trial.protocol.TrialProtocol`, such as
            `clock`, `stop`, `batch`, `master_seed`, `device`.

    Raises:
        UserError: a name, a value or a combination of them is wrong.
    """
    from dataclasses import fields

    from grasp_bench.core.errors import UserError
    from grasp_bench.core.registry import did_you_mean
    from grasp_bench.core.system import torch_threads
    from grasp_bench.models import load_model
    from grasp_bench.run.preparation import check_horizon, run_settings
    from grasp_bench.run.store import rows_table, to_frame
    from grasp_bench.run.worker import Assignment, WorkUnit, run_tasks
    from grasp_bench.tasks import TaskSet, load_tasks
    from grasp_bench.trial.memory import check_memory
    from grasp_bench.trial.model_check import check_model
    from grasp_bench.trial.protocol import TrialProtocol
    from grasp_bench.tuning.resolve import resolve_one

    for name in protocol.keys() - {field.name for field in fields(TrialProtocol)}:
        known = [field.name for field in fields(TrialProtocol)]
        raise UserError(f"evaluate has no setting '{name}': {did_you_mean(name, known)}")
    given: dict[str, Any] = {} if budget is None else {"budget": budget}
    chosen = TrialProtocol(**given, **protocol)
    loaded = load_model(model, chosen.device) if isinstance(model, str) else model
    if isinstance(tasks, TaskSet):
        task_set = tasks
    elif horizon is None:
        raise UserError("evaluate needs a horizon, in environment steps, such as horizon=40")
    else:
        task_set = load_tasks(tasks, horizon, 50 if trials is None else trials)
    if horizon not in (None, task_set.horizon):
        raise UserError(f"the tasks given are of horizon {task_set.horizon}, not {horizon}")
    count = len(task_set.tasks) if trials is None else trials
    if not 1 <= count <= len(task_set.tasks):
        raise UserError(f"{trials} trials asked for: there are 1 to {len(task_set.tasks)} tasks")
    built, spec = resolve_one(planner, task_set.horizon, loaded, hyperparameters or {}, untuned)
    check_horizon(task_set.horizon, loaded.model.frameskip)
    check_model(loaded, task_set, chosen)
    check_memory({task_set.horizon: [(spec.label, built)]}, loaded, chosen, workers=1)
    assignment = Assignment(chosen, run_settings(loaded, task_set, chosen), workers=1)
    rows = []
    with torch_threads(chosen.threads):
        for begin in range(0, count, chosen.batch):
            end = min(begin + chosen.batch, count)
            unit = WorkUnit(spec, task_set.horizon, begin, end)
            rows += run_tasks(assignment, unit, task_set, loaded, built)
    return to_frame([rows_table(rows)])
