"""Turns one unit of work into finished rows, in any process."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import psutil

from grasp_bench.core.errors import UserError
from grasp_bench.core.plugins import file_sha256
from grasp_bench.core.seeds import trial_seed
from grasp_bench.core.system import describe_system
from grasp_bench.core.types import Planner, Row, Task, uses_prior
from grasp_bench.envs import Environment
from grasp_bench.models import LoadedModel, load_model
from grasp_bench.planners import PlannerSpec, make_planner
from grasp_bench.run.reference_workload import time_reference_workload
from grasp_bench.run.schema import OUTCOME
from grasp_bench.tasks import TaskSet, load_tasks
from grasp_bench.trial.outcome import criteria_columns, distance_columns
from grasp_bench.trial.promises import BrokenPromiseError, expect, forks
from grasp_bench.trial.protocol import TrialProtocol
from grasp_bench.trial.trials import run_trials, warm_up

_LONGEST_ERROR = 20_000  # characters of a traceback, of which the end is kept
_warm: set[tuple[str, str, int]] = set()


@dataclass(frozen=True)
class WorkUnit:
    """Tasks begin..end-1 of a horizon's set, planned as one batch by one planner."""

    planner: PlannerSpec
    horizon: int
    begin: int
    end: int


@dataclass(frozen=True)
class Assignment:
    """What a worker needs to know besides its units.

    Attributes:
        protocol: how a trial is run.
        settings: that all trials of the run share, by column of the results.
        workers: how many of its kind run beside each other.
    """

    protocol: TrialProtocol
    settings: Mapping[str, Any]
    workers: int


def run_unit(assignment: Assignment, unit: WorkUnit) -> list[Row]:
    """Loads what a unit names, once per process, and runs its trials."""
    settings = assignment.settings
    task_set = _task_set(settings["tasks"], settings["task_set_sha256"], unit.horizon)
    names = ("model_source", "model_sha256", "model_file_sha256", "device")
    loaded = _model(*(settings[name] for name in names))
    planner = _planner(unit.planner)
    rows = run_tasks(assignment, unit, task_set, loaded, planner)
    if not loaded.is_unchanged():
        _model.cache_clear()  # the next unit loads it anew
    return rows


def run_tasks(
    assignment: Assignment,
    unit: WorkUnit,
    task_set: TaskSet,
    loaded: LoadedModel,
    planner: Planner,
) -> list[Row]:
    """Runs a unit's trials.

    A planner that raises, or breaks the protocol, makes rows of status `error`.
    """
    protocol = assignment.protocol
    tasks = task_set.tasks[unit.begin : unit.end]
    reference_seconds = time_reference_workload(protocol.device)
    started, load = datetime.now(UTC), psutil.getloadavg()[0]
    outcomes = _outcomes(task_set, tasks, planner, loaded, protocol, unit.planner.label)
    shared = {"reference_seconds": reference_seconds, "started_at": started, "load": load}
    return _rows(assignment, unit, task_set, loaded, planner, outcomes, shared)


def given_up(
    assignment: Assignment,
    unit: WorkUnit,
    task_set: TaskSet,
    loaded: LoadedModel,
    planner: Planner,
    reason: str,
) -> list[Row]:
    """Makes the rows of a unit that no worker brought to an end, of status `error`."""
    error = {"status": "error", "error": f"TrialGivenUp: {reason}"}
    outcome = error | _no_outcome(task_set.environment)
    shared = {"reference_seconds": None, "started_at": datetime.now(UTC), "load": None}
    outcomes = [outcome] * (unit.end - unit.begin)
    return _rows(assignment, unit, task_set, loaded, planner, outcomes, shared)


def _rows(
    assignment: Assignment,
    unit: WorkUnit,
    task_set: TaskSet,
    loaded: LoadedModel,
    planner: Planner,
    outcomes: Sequence[Row],
    shared: Row,
) -> list[Row]:
    """Joins what is known of a unit's trials, the outcomes one by one."""
    spec, protocol = unit.planner, assignment.protocol
    tasks = task_set.tasks[unit.begin : unit.end]
    return [
        {
            "trial_key": spec.trial_key(task.id),
            "task_id": task.id,
            "horizon": task.horizon,
            "planner": spec.name,
            "planner_source": spec.source,
            "planner_file_sha256": spec.file_sha256,
            "planner_label": spec.label,
            "hyperparameters": spec.hyperparameters,
            "hyperparameters_sha256": spec.hyperparameters_sha256,
            "hyperparameters_source": "tuned" if spec.tuning_sha256 else "default",
            "tuning_sha256": spec.tuning_sha256,
            "tuning_budget": spec.tuning_budget,
            "prior_sha256": loaded.prior_sha256 if uses_prior(planner) else None,
            "probe_sha256": loaded.probe_sha256,
            "trial_seed": trial_seed(protocol.master_seed, task.id, spec.name),
            **outcome,
            **assignment.settings,
            **asdict(describe_system(protocol.device)),
            "workers": assignment.workers,
            **shared,
        }
        for task, outcome in zip(tasks, outcomes, strict=True)
    ]


def _outcomes(
    task_set: TaskSet,
    tasks: Sequence[Task],
    planner: Planner,
    loaded: LoadedModel,
    protocol: TrialProtocol,
    label: str,
) -> list[Row]:
    """Returns the status, error and outcome columns of one trial per task."""
    warm = loaded.sha256, label, task_set.horizon
    loaded.is_unchanged()  # remembers the weights
    forked = forks()
    no_outcome = _no_outcome(task_set.environment)
    try:
        if protocol.clock == "wall" and warm not in _warm:
            warm_up(task_set, tasks, planner, loaded.model, protocol)
            _warm.add(warm)
        outcomes = run_trials(task_set, tasks, planner, loaded.model, protocol)
        expect(loaded.is_unchanged(), "it changes the world model's weights")
        expect(forks() == forked, "it or the world model forks the process that it runs in")
    except Exception:  # whatever a planner raises is a result: the sweep goes on
        failed = {"status": "error", "error": traceback.format_exc()[-_LONGEST_ERROR:]}
        return [failed | no_outcome] * len(tasks)
    return [
        {"status": "error", "error": f"{type(outcome).__name__}: {outcome}"} | no_outcome
        if isinstance(outcome, BrokenPromiseError)
        else {"status": "ok", "error": None} | outcome
        for outcome in outcomes
    ]


def _no_outcome(environment: Environment) -> Row:
    """Gives the outcome columns of a trial that raised: all null."""
    return {
        **dict.fromkeys(column.name for column in OUTCOME),
        **criteria_columns(environment, None, missing=None),
        **criteria_columns(environment, None, "final_plan_", missing=None),
        **distance_columns(environment, None),
    }


@cache
def _task_set(name: str, sha256: str, horizon: int) -> TaskSet:
    task_set = load_tasks(name, horizon)
    _check_unchanged("task set", name, task_set.sha256, sha256)
    return task_set


@cache
def _planner(spec: PlannerSpec) -> Planner:
    planner = make_planner(spec.source, json.loads(spec.hyperparameters))
    _check_unchanged("planner", spec.source, file_sha256(type(planner)), spec.file_sha256)
    return planner


def _check_unchanged(kind: str, name: str, found: str | None, expected: str | None) -> None:
    if found != expected:
        raise UserError(f"the {kind} '{name}' changed while it was in use")


@cache
def _model(source: str, sha256: str, file: str | None, device: str) -> LoadedModel:
    loaded = load_model(source, device)
    _check_unchanged("world model", source, loaded.sha256, sha256)
    _check_unchanged("world model", source, loaded.file_sha256, file)
    return loaded
