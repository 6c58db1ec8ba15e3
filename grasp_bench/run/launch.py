"""Runs what a configuration asks for: checks everything, opens the folder, runs, shows progress."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from grasp_bench.core.errors import UserError, error_summary
from grasp_bench.core.plugins import is_spec
from grasp_bench.core.system import usable_cores
from grasp_bench.core.types import Row
from grasp_bench.core.version import PROTOCOL_VERSION
from grasp_bench.models import LoadedModel, load_model
from grasp_bench.planners import PlannerSpec
from grasp_bench.run.config import RunConfig
from grasp_bench.run.executors.local import LocalProcesses, WorkerDiedError
from grasp_bench.run.progress import SweepProgress
from grasp_bench.run.run_folder import RunFolder, open_run_folder
from grasp_bench.run.schema import NAMES, identifying_columns
from grasp_bench.run.store import LABEL_COLUMNS, check_labels
from grasp_bench.run.sweep import Sweep, run_sweep
from grasp_bench.run.worker import Assignment
from grasp_bench.tasks import TaskSet, load_tasks
from grasp_bench.trial.protocol import TrialProtocol

RUNS_FOLDER = Path("results/runs")

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
    workers = _workers(config)
    loaded = load_model(config.model, config.protocol.device)
    for horizon in config.horizons:
        check_horizon(horizon, loaded.model.frameskip)
    task_sets = {
        horizon: load_tasks(config.tasks, horizon, config.trials) for horizon in config.horizons
    }
    any_set = next(iter(task_sets.values()))
    settings = run_settings(loaded, any_set, config.protocol)
    return Prepared(config, loaded, task_sets, settings, workers)


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
    sweep = Sweep(planners, prepared.task_sets, prepared.config.protocol.batch)
    _check_names(sweep)
    out = prepared.config.out or RUNS_FOLDER / prepared.digest()
    with open_run_folder(out, prepared.settings) as folder:
        check_prior(folder, sweep, prepared.loaded.prior_sha256)
        _check_planner_files(folder, sweep)
        _check_labels(folder, sweep)
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
    on_cpu = protocol.device == "cpu"
    workers = config.workers or (max(1, cores // protocol.threads) if on_cpu else 1)
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
        UserError: a worker died.
    """
    asked_for = sweep.all_keys()
    assignment = Assignment(prepared.config.protocol, prepared.settings, prepared.workers)
    earlier = _finished(folder, asked_for)
    with SweepProgress(console, _totals(sweep, by), line_per_trial, by) as progress:
        for label, group in earlier.groupby(by):
            progress.count(str(label), len(group), int(group["success"].sum()))
        try:
            run_sweep(sweep, folder, LocalProcesses(assignment), progress.add)
            return progress.errors
        except KeyboardInterrupt:
            stopped = _safe(progress.done, asked_for, folder)
        except WorkerDiedError as error:
            raise UserError(f"{error}: {_safe(progress.done, asked_for, folder)}") from error
    console.print(f"stopped: {stopped}", soft_wrap=True)
    return None


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


def check_prior(folder: RunFolder, sweep: Sweep, prior_sha256: str | None) -> None:
    """Raises UserError where the folder's trials of a sweep were planned with another prior."""
    others = set(_finished(folder, sweep.all_keys())["prior_sha256"].dropna()) - {prior_sha256}
    if others:
        raise UserError(
            f"'{folder.path}' holds trials with another action prior ({others.pop()[:12]}) than "
            f"the model has now ({str(prior_sha256)[:12]}): choose another --out"
        )


def _check_names(sweep: Sweep) -> None:
    """Raises UserError where two planners of a sweep would have the same trial keys."""
    for specs in sweep.planners.values():
        sources: dict[str, str] = {}
        for spec in specs:
            other = sources.setdefault(spec.trial_key(""), spec.source)
            if other != spec.source:
                raise UserError(
                    f"'{other}' and '{spec.source}' are both named '{spec.name}' and have the same "
                    "hyperparameters: give one of them another name"
                )


def _check_planner_files(folder: RunFolder, sweep: Sweep) -> None:
    """Raises UserError where the folder's trials are of other code than a planner's file holds."""
    trials = _finished(folder, sweep.all_keys())
    columns = ["planner", "planner_source", "planner_file_sha256"]
    rows = trials[columns].drop_duplicates().astype(object).to_numpy()
    for spec in {spec for specs in sweep.planners.values() for spec in specs}:
        # The file may have been named by another path.
        own = spec.source.rpartition(":")[2], spec.file_sha256
        stored = {(of.rpartition(":")[2], sha) for name, of, sha in rows if name == spec.name}
        if is_spec(spec.source) and stored - {own}:
            raise UserError(
                f"'{folder.path}' holds trials of '{spec.name}' by other code than '{spec.source}' "
                "holds now: choose another --out"
            )


def _check_labels(folder: RunFolder, sweep: Sweep) -> None:
    """Raises UserError where the folder labels hyperparameters otherwise than the sweep does."""
    trials = folder.trials()
    if trials is None:
        return
    specs = {(spec, horizon) for horizon, specs in sweep.planners.items() for spec in specs}
    asked = pd.DataFrame(
        [(spec.label, h, spec.hyperparameters_sha256, spec.tuning_sha256) for spec, h in specs],
        columns=LABEL_COLUMNS,
    )
    same_label = trials[trials["planner_label"].isin(asked["planner_label"])]
    advice = "choose another --out"
    check_labels(pd.concat([same_label[list(LABEL_COLUMNS)].astype(object), asked]), advice)
    same_trial = trials["trial_key"].isin(sweep.all_keys())
    for label in set(trials["planner_label"][same_trial]) - set(asked["planner_label"]):
        raise UserError(
            f"'{folder.path}' holds trials with these hyperparameters as '{label}', which are "
            f"{', '.join(sorted(asked['planner_label']))} now: {advice}"
        )


def _finished(folder: RunFolder, keys: set[str]) -> pd.DataFrame:
    trials = folder.trials()
    if trials is None:
        return pd.DataFrame(columns=NAMES)
    return trials[trials["trial_key"].isin(keys) & (trials["status"] == "ok")]


def _safe(done: int, asked_for: set[str], folder: RunFolder) -> str:
    return (
        f"{done} of {len(asked_for)} trials are safe in '{folder.path}', "
        "and the same command goes on with the rest"
    )
