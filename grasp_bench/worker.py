"""What a worker does: one unit of work to finished rows. Runs in any process."""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache

from grasp_bench.columns import OUTCOME, Row
from grasp_bench.errors import UserError
from grasp_bench.machine import describe_machine
from grasp_bench.models import LoadedModel, load_model
from grasp_bench.planners import make_planner
from grasp_bench.problems import trial_seed
from grasp_bench.reference_workload import time_reference_workload
from grasp_bench.settings import RunSettings
from grasp_bench.tasks import TaskSet, load_tasks
from grasp_bench.trial import run_trials, warm_up
from grasp_bench.types import Planner, Task, WorldModel, uses_prior

_warm: set[tuple[str, int]] = set()


@dataclass(frozen=True)
class PlannerSpec:
    """A planner's configuration as data.

    Attributes:
        name: registered name.
        label: how results name it: the name, and what differs from the defaults.
        config: every hyperparameter, JSON.
        config_sha256: of `config`.
        settings_sha256: of the file of tuned settings that it starts from, None for defaults.
        settings_budget: what finding these took, in words.
    """

    name: str
    label: str
    config: str
    config_sha256: str
    settings_sha256: str | None = None
    settings_budget: str | None = None


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
        checkpoint: name or path that `load_model` takes.
        settings: of the run.
        workers: how many of its kind run beside each other.
    """

    checkpoint: str
    settings: RunSettings
    workers: int


def trial_key(planner: PlannerSpec, task_id: str) -> str:
    """The identity of a trial within a run folder."""
    return f"{planner.name}-{planner.config_sha256[:12]}-{task_id}"


def run_unit(assignment: Assignment, unit: WorkUnit) -> list[Row]:
    """Run a unit's trials. A planner that raises makes rows of status `error`."""
    settings = assignment.settings
    task_set = _task_set(settings, unit.horizon)
    tasks = task_set.tasks[unit.begin : unit.end]
    loaded = _model(assignment.checkpoint, settings)
    planner = make_planner(unit.planner.name, json.loads(unit.planner.config))
    reference_seconds = time_reference_workload(settings.device)
    started = datetime.now(UTC)
    outcomes: list[Row] = [dict.fromkeys(column.name for column in OUTCOME)] * len(tasks)
    error = None
    try:
        outcomes = _run(tasks, task_set, unit, planner, loaded.model, settings)
    except Exception:  # whatever a planner raises is a result: the sweep goes on
        error = traceback.format_exc()
    return [
        {
            "trial_key": trial_key(unit.planner, task.id),
            "status": "error" if error else "ok",
            "error": error,
            "task_id": task.id,
            "horizon": task.horizon,
            "planner": unit.planner.name,
            "planner_label": unit.planner.label,
            "planner_config": unit.planner.config,
            "planner_config_sha256": unit.planner.config_sha256,
            "settings_source": "tuned" if unit.planner.settings_sha256 else "default",
            "settings_sha256": unit.planner.settings_sha256,
            "settings_budget": unit.planner.settings_budget,
            "prior_sha256": loaded.prior_sha256 if uses_prior(planner) else None,
            "trial_seed": trial_seed(settings.master_seed, task.id, unit.planner.name),
            **outcome,
            **asdict(settings),
            **asdict(describe_machine(settings.device)),
            "reference_seconds": reference_seconds,
            "workers": assignment.workers,
            "started_at": started,
        }
        for task, outcome in zip(tasks, outcomes, strict=True)
    ]


def _run(
    tasks: list[Task],
    task_set: TaskSet,
    unit: WorkUnit,
    planner: Planner,
    model: WorldModel,
    settings: RunSettings,
) -> list[Row]:
    if settings.clock == "wall" and (unit.planner.label, unit.horizon) not in _warm:
        warm_up(tasks, task_set.tasks, planner, model, settings)
        _warm.add((unit.planner.label, unit.horizon))
    outcomes = run_trials(tasks, task_set.tasks, planner, model, settings)
    return [asdict(outcome) for outcome in outcomes]


@cache
def _task_set(settings: RunSettings, horizon: int) -> TaskSet:
    return load_tasks(settings.tasks, horizon)


@cache
def _model(checkpoint: str, settings: RunSettings) -> LoadedModel:
    loaded = load_model(checkpoint, settings.device)
    if loaded.sha256 != settings.model_sha256:
        raise UserError(f"the checkpoint '{checkpoint}' changed while it was in use")
    return loaded
