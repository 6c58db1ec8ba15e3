"""Runs what a configuration asks for: checks everything, opens the folder, runs, shows progress."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from grasp_bench.core.errors import UserError, error_summary, os_error_sentence
from grasp_bench.core.system import usable_cores
from grasp_bench.core.types import Planner, Row
from grasp_bench.core.version import PROTOCOL_VERSION
from grasp_bench.models import LoadedModel, is_plugin, load_model
from grasp_bench.planners import PlannerSpec, make_planner
from grasp_bench.run.config import RunConfig
from grasp_bench.run.executors import EXECUTORS, Failure, ResourceLimits, WorkersEndedError
from grasp_bench.run.executors.supervised import Processes
from grasp_bench.run.folder_checks import (
    check_criteria,
    check_labelling,
    check_names,
    check_planner_files,
    check_prior,
    finished_trials,
)
from grasp_bench.run.progress import SweepProgress
from grasp_bench.run.run_folder import RunFolder, open_run_folder
from grasp_bench.run.schema import identifying_columns
from grasp_bench.run.sweep import Sweep, run_sweep
from grasp_bench.run.worker import Assignment, given_up
from grasp_bench.tasks import TaskSet, load_tasks
from grasp_bench.trial.memory import check_memory
from grasp_bench.trial.model_check import check_model
from grasp_bench.trial.protocol import TrialProtocol

RUNS_FOLDER = Path("results/runs")

_MOST_PER_CORE = 16  # threads of all workers
# Wall time after which a trial is given up: to start with, and per unit of the budget.
_START_SECONDS, _SECONDS_PER_SECOND, _SECONDS_PER_CANDIDATE = 120.0, 20.0, 60.0

FINISHED, TRIALS_FAILED, INTERRUPTED = 0, 1, 130


@dataclass(frozen=True)
class Prepared:
    """A configuration whose world model and tasks are there.

    Attributes:
        config: as asked for.
        loaded: the world model.
        task_sets: by horizon, cut to the tasks to run.
        settings: that all trials share, by column of the results.
        workers: processes beside each other.
    """

    config: RunConfig
    loaded: LoadedModel
    task_sets: dict[int, TaskSet]
    settings: Mapping[str, Any]
    workers: int

    def digest(self) -> str:
        """Names the settings by ten hexadecimal digits; the model counts by its weights."""
        names = identifying_columns(self.settings["model_file_sha256"] is None)
        identity = {name: self.settings[name] for name in names}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Finished:
    """What a run left: its exit code, its folder and the trials asked for, None if interrupted."""

    exit_code: int
    folder: Path
    trials: pd.DataFrame | None


def prepare(config: RunConfig) -> Prepared:
    """Loads the model and the tasks of a configuration.

    Raises:
        UserError: something about it is wrong. Nothing has been computed then.
    """
    EXECUTORS.get(config.executor)
    workers = _workers(config)
    # The process that drives a cluster may be on a machine without its GPUs.
    device = config.protocol.device if config.executor == "local" else "cpu"
    if is_plugin(config.model):
        try_apart(config, device)
    loaded, task_sets = _loaded(config, device)
    any_set = next(iter(task_sets.values()))
    if not is_plugin(config.model):
        check_model(loaded, any_set, config.protocol)
    settings = run_settings(loaded, any_set, config.protocol)
    return Prepared(config, loaded, task_sets, settings, workers)


def try_apart(config: RunConfig, device: str) -> None:
    """Tries a user's model in a process of its own, which it may hang, fill or kill.

    Raises:
        UserError: it did, or it is not what it should be.
    """
    work, limits = partial(_try_model, config), replace(resource_limits(config), attempts=1)
    for found in Processes(work, 1, config.protocol.threads, limits).run([device]):
        if isinstance(found, Failure):
            raise UserError(f"world model '{config.model}' cannot be tried: {found.reason}")


def _try_model(config: RunConfig, device: str) -> None:
    loaded, task_sets = _loaded(config, device)
    check_model(loaded, next(iter(task_sets.values())), config.protocol)


def _loaded(config: RunConfig, device: str) -> tuple[LoadedModel, dict[int, TaskSet]]:
    """Loads the model and the tasks by horizon, cut to those to run."""
    loaded = load_model(config.model, device)
    for horizon in config.horizons:
        check_horizon(horizon, loaded.model.frameskip)
    return loaded, {
        horizon: load_tasks(config.tasks, horizon, config.trials) for horizon in config.horizons
    }


def run_settings(loaded: LoadedModel, task_set: TaskSet, protocol: TrialProtocol) -> dict[str, Any]:
    """Gives the columns of the results that all trials of a run share."""
    return {
        "protocol_version": PROTOCOL_VERSION,
        "environment": task_set.environment.name,
        "model": loaded.name,
        "model_sha256": loaded.sha256,
        "model_source": loaded.source,
        "model_file_sha256": loaded.file_sha256,
        "tasks": task_set.name,
        "task_set_sha256": task_set.sha256,
        **asdict(protocol),
    }


def launch(
    prepared: Prepared,
    planners: Mapping[int, Sequence[PlannerSpec]],
    console: Console,
    line_per_trial: bool,
) -> Finished:
    """Runs planners, by horizon, on the prepared tasks; the same call goes on after a stop.

    Raises:
        UserError: the folder cannot be used, or a worker died.
    """
    config = prepared.config
    sweep = Sweep(planners, prepared.task_sets, config.protocol.batch, config.shard)
    check_names(sweep)
    if config.executor == "local":
        named = {
            horizon: [
                (s.label, make_planner(s.source, json.loads(s.hyperparameters))) for s in specs
            ]
            for horizon, specs in planners.items()
        }
        check_memory(named, prepared.loaded, config.protocol, prepared.workers)
    out = prepared.config.out or RUNS_FOLDER / prepared.digest()
    with open_run_folder(out, prepared.settings, teller(console)) as folder:
        check_prior(folder, sweep, prepared.loaded.prior_sha256)
        check_criteria(folder, prepared.task_sets)
        check_planner_files(folder, sweep)
        check_labelling(folder, sweep)
        errors = run_shown(sweep, folder, prepared, console, line_per_trial)
        if errors is None:
            return Finished(INTERRUPTED, out, None)
        trials = folder.trials()
        assert trials is not None
        mine = trials[trials["trial_key"].isin(sweep.all_keys())].reset_index(drop=True)
    if errors:
        report_errors(errors, "the same command tries them again", console)
    return Finished(TRIALS_FAILED if errors else FINISHED, out, mine)


def check_horizon(horizon: int, frameskip: int) -> None:
    """Raises UserError unless the horizon is a whole number of model steps."""
    if horizon < 1 or horizon % frameskip:
        raise UserError(
            f"horizon {horizon} is not a multiple of the model's frameskip {frameskip}: "
            f"--horizon counts environment steps, {frameskip} to a model step"
        )


def _workers(config: RunConfig) -> int:
    cores, protocol = usable_cores(), config.protocol
    if config.executor != "local":
        if config.workers is None:
            raise UserError(
                f"--executor {config.executor} needs --workers: how many beside another"
            )
        return config.workers
    on_cpu = protocol.device == "cpu"
    workers = config.workers or (max(1, cores // protocol.threads) if on_cpu else 1)
    if workers * protocol.threads > _MOST_PER_CORE * cores:
        raise UserError(
            f"{workers} worker(s) of {protocol.threads} thread(s) are too many for {cores} "
            f"core(s): ask for {_MOST_PER_CORE} per core at most"
        )
    if protocol.clock == "wall" and workers > 1 and workers * protocol.threads > cores:
        raise UserError(
            f"{workers} workers of {protocol.threads} thread(s) on {cores} core(s) would time "
            "planners against each other: ask for fewer --workers, or --clock iterations"
        )
    if protocol.clock == "wall" and workers > 1 and not on_cpu:
        raise UserError(
            f"{workers} workers on one {protocol.device} device would time planners against "
            "each other: use --workers 1, or --clock iterations"
        )
    return workers


def run_shown(
    sweep: Sweep,
    folder: RunFolder,
    prepared: Prepared,
    console: Console,
    line_per_trial: bool = False,
    by: str = "planner_label",
) -> list[Row] | None:
    """Runs a sweep and shows its progress; returns the rows of trials that ended in an error.

    None if it was interrupted. `by` is the column that the display counts by.

    Raises:
        UserError: a worker died, or a row cannot be stored.
    """
    asked_for = sweep.all_keys()
    assignment = Assignment(prepared.config.protocol, prepared.settings, prepared.workers)
    config = prepared.config
    folder.presence.announce(len(asked_for), config.executor, prepared.workers)
    executor = EXECUTORS.get(config.executor)(assignment, resource_limits(config))

    def given_up_rows(failure: Failure) -> list[Row]:
        unit = failure.unit
        planner = _made(unit.planner)
        task_set = prepared.task_sets[unit.horizon]
        return given_up(assignment, unit, task_set, prepared.loaded, planner, failure.reason)

    def waits(units: int) -> None:
        tell(f"another process is at the last {units} trial(s) or batch(es): waiting for it")

    tell = teller(console)
    earlier = finished_trials(folder, asked_for)
    with SweepProgress(console, _totals(sweep, by), line_per_trial, by) as progress:
        for label, group in earlier.groupby(by):
            progress.count(str(label), len(group), int(group["success"].sum()))
        try:
            run_sweep(sweep, folder, executor, progress.add, given_up_rows, waits)
            return progress.errors
        except KeyboardInterrupt:
            stopped = _safe(asked_for, folder)
        except (WorkersEndedError, OSError) as error:
            reason = os_error_sentence(error) if isinstance(error, OSError) else error
            raise UserError(f"{reason}: {_safe(asked_for, folder)}") from error
    console.print(f"stopped: {stopped}", soft_wrap=True)
    return None


def resource_limits(config: RunConfig) -> ResourceLimits:
    """Returns what a unit may take; by default a multiple of the budget, however it is counted."""
    protocol = config.protocol
    per = _SECONDS_PER_SECOND if protocol.clock == "wall" else _SECONDS_PER_CANDIDATE
    seconds = config.trial_timeout or _START_SECONDS + per * protocol.budget
    return ResourceLimits(seconds, config.trial_memory, gpus=config.gpus, address=config.address)


def _made(spec: PlannerSpec) -> Planner:
    return make_planner(spec.source, json.loads(spec.hyperparameters))


def _totals(sweep: Sweep, by: str) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for unit in sweep.units():
        spec = unit.planner
        totals[spec.name if by == "planner" else spec.label] += unit.end - unit.begin
    return dict(totals)


def report_errors(errors: list[Row], what_now: str, console: Console) -> None:
    """Says how many trials ended in an error, and what the first was."""
    console.print(
        f"{len(errors)} trial(s) ended in an error; the first, "
        f"{errors[0]['trial_key']}: {error_summary(errors[0]['error'])}\n{what_now}",
        style="red",
        markup=False,
        soft_wrap=True,
    )


def teller(console: Console) -> Callable[[str], None]:
    """Returns what prints a sentence of any content."""
    return partial(console.print, style="red", markup=False, highlight=False, soft_wrap=True)


def _safe(asked_for: set[str], folder: RunFolder) -> str:
    done = len(asked_for & folder.finished())
    return (
        f"{done} of {len(asked_for)} trials are safe in '{folder.path}', "
        "and the same command goes on with the rest"
    )
