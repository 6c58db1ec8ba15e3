"""What `run` and `sweep` do: check everything, open the folder, run, show the table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from grasp_bench.columns import Row
from grasp_bench.errors import UserError
from grasp_bench.executors import Executor, LocalProcesses, WorkerDiedError
from grasp_bench.machine import usable_cores
from grasp_bench.models import LoadedModel, load_model
from grasp_bench.progress import SweepProgress, error_summary
from grasp_bench.report.rows import build_table
from grasp_bench.report.table import results_sheet
from grasp_bench.report.writers import rich_sheets
from grasp_bench.request import Request
from grasp_bench.results import LABEL_COLUMNS, TRIALS_FILE, check_labels, read_results
from grasp_bench.run_folder import RunFolder, open_run_folder
from grasp_bench.settings import (
    CHECK_RATIO,
    DEFAULT_BUDGET,
    FIRST_CHECK,
    REPLAN_EVERY,
    RunSettings,
)
from grasp_bench.sweep import Sweep, check_horizon, run_sweep
from grasp_bench.tasks import TaskSet, load_tasks
from grasp_bench.tuning.use import chosen_specs
from grasp_bench.worker import Assignment

RUNS_FOLDER = Path("results/runs")

FINISHED, TRIALS_FAILED, INTERRUPTED = 0, 1, 130


@dataclass(frozen=True)
class Prepared:
    """A request whose world model and tasks are there.

    Attributes:
        loaded: the world model.
        task_sets: by horizon.
        settings: that all trials share.
        executor: where they run.
        workers: processes beside each other.
    """

    loaded: LoadedModel
    task_sets: dict[int, TaskSet]
    settings: RunSettings
    executor: Executor
    workers: int


def launch(request: Request, console: Console) -> int:
    """Run what is asked for and show it; returns the exit code.

    Raises:
        UserError: something about the request is wrong. Nothing has been computed then.
    """
    prepared = prepare(request)
    specs = chosen_specs(request, prepared.loaded.sha256)
    sweep = Sweep(specs, prepared.task_sets, request.batch)
    out = request.out or RUNS_FOLDER / prepared.settings.digest()
    with open_run_folder(out, prepared.settings) as folder:
        check_prior(folder, sweep, prepared.loaded.prior_sha256)
        _check_labels(folder, sweep)
        errors = run_shown(sweep, folder, prepared.executor, console, request.line_per_trial)
        if errors is None:
            return INTERRUPTED
        _show(folder, sweep.all_keys(), console)
    if errors:
        report_errors(errors, "the same command tries them again", console)
        return TRIALS_FAILED
    return FINISHED


def prepare(request: Request) -> Prepared:
    """Load the model and the tasks of a request.

    Raises:
        UserError: something about the request is wrong.
    """
    workers = _workers(request)
    loaded = load_model(request.model, request.device)
    for horizon in request.horizons:
        check_horizon(horizon, loaded.model.frameskip)
    task_sets = {
        horizon: load_tasks(request.tasks, horizon, request.trials) for horizon in request.horizons
    }
    settings = RunSettings(
        model=loaded.name,
        model_sha256=loaded.sha256,
        tasks=request.tasks,
        task_set_sha256=next(iter(task_sets.values())).sha256,
        master_seed=request.seed,
        clock=request.clock,
        budget=DEFAULT_BUDGET[request.clock] if request.budget is None else request.budget,
        max_iterations=request.max_iterations,
        stop=request.stop,
        check_first=FIRST_CHECK[request.clock],
        check_ratio=CHECK_RATIO,
        batch=request.batch,
        device=request.device,
        threads=request.threads,
        protocol=request.protocol,
        replan_every=request.replan_every or REPLAN_EVERY.get(request.protocol),
    )
    executor = LocalProcesses(Assignment(request.model, settings, workers))
    return Prepared(loaded, task_sets, settings, executor, workers)


def _workers(request: Request) -> int:
    cores = usable_cores()
    on_cpu = request.device == "cpu"
    workers = request.workers or (max(1, cores // request.threads) if on_cpu else 1)
    if request.clock == "wall" and workers > 1 and workers * request.threads > cores:
        raise UserError(
            f"{workers} workers of {request.threads} thread(s) on {cores} core(s) would time "
            "planners against each other: ask for fewer --workers, or --clock iterations"
        )
    if request.clock == "wall" and workers > 1 and not on_cpu:
        raise UserError(
            f"{workers} workers on one {request.device} device would time planners against "
            "each other: use --workers 1, or --clock iterations"
        )
    return workers


def run_shown(
    sweep: Sweep,
    folder: RunFolder,
    executor: Executor,
    console: Console,
    line_per_trial: bool = False,
    by: str = "planner_label",
) -> list[Row] | None:
    """Run a sweep and show how far it is; returns the rows of trials that ended in an error.

    None if it was interrupted. `by` is the column that the display counts by.

    Raises:
        UserError: a worker died.
    """
    asked_for = sweep.all_keys()
    earlier = _finished(folder, asked_for)
    with SweepProgress(console, _totals(sweep, by), line_per_trial, by) as progress:
        for label, group in earlier.groupby(by):
            progress.recall(str(label), len(group), int(group["success"].sum()))
        try:
            run_sweep(sweep, folder, executor, progress.add)
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
    """Say how many trials ended in an error, and what the first was."""
    console.print(
        f"{len(errors)} trial(s) ended in an error; the first, "
        f"{errors[0]['trial_key']}: {error_summary(errors[0])}\n{what_now}",
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


def _check_labels(folder: RunFolder, sweep: Sweep) -> None:
    """Raises UserError where the folder's trials call settings otherwise than the sweep does."""
    trials = folder.trials()
    if trials is None:
        return
    specs = {(spec, horizon) for horizon, specs in sweep.planners.items() for spec in specs}
    asked = pd.DataFrame(
        [(spec.label, h, spec.config_sha256, spec.settings_sha256) for spec, h in specs],
        columns=LABEL_COLUMNS,
    )
    same_label = trials[trials["planner_label"].isin(asked["planner_label"])]
    advice = "choose another --out"
    check_labels(pd.concat([same_label[list(LABEL_COLUMNS)].astype(object), asked]), advice)
    same_trial = trials["trial_key"].isin(sweep.all_keys())
    for label in set(trials["planner_label"][same_trial]) - set(asked["planner_label"]):
        raise UserError(
            f"'{folder.path}' holds trials with these settings as '{label}', which are "
            f"{', '.join(sorted(asked['planner_label']))} now: {advice}"
        )


def _finished(folder: RunFolder, keys: set[str]) -> pd.DataFrame:
    trials = folder.trials()
    if trials is None:
        return pd.DataFrame(columns=["planner", "planner_label", "success", "prior_sha256"])
    return trials[trials["trial_key"].isin(keys) & (trials["status"] == "ok")]


def _safe(done: int, asked_for: set[str], folder: RunFolder) -> str:
    return (
        f"{done} of {len(asked_for)} trials are safe in '{folder.path}', "
        "and the same command goes on with the rest"
    )


def _show(folder: RunFolder, asked_for: set[str], console: Console) -> None:
    trials = read_results(folder.path)
    mine = trials[trials["trial_key"].isin(asked_for)]
    if (mine["status"] == "ok").any():
        console.print(rich_sheets([results_sheet(build_table(mine))]))
    console.print(str(folder.path / TRIALS_FILE), soft_wrap=True, highlight=False, markup=False)
