"""What `run` and `sweep` do: check everything, open the folder, run, show the table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console

from grasp_bench.errors import UserError
from grasp_bench.executors import LocalProcesses, WorkerDiedError
from grasp_bench.machine import usable_cores
from grasp_bench.models import load_model
from grasp_bench.progress import SweepProgress, error_summary
from grasp_bench.report.rows import build_table
from grasp_bench.report.table import results_sheet
from grasp_bench.report.writers import rich_sheets
from grasp_bench.request import Request
from grasp_bench.results import TRIALS_FILE, read_results
from grasp_bench.run_folder import RunFolder, open_run_folder
from grasp_bench.settings import (
    CHECK_RATIO,
    DEFAULT_BUDGET,
    FIRST_CHECK,
    REPLAN_EVERY,
    RunSettings,
)
from grasp_bench.sweep import Sweep, check_horizon, planner_spec, run_sweep
from grasp_bench.tasks import load_tasks
from grasp_bench.worker import Assignment

RUNS_FOLDER = Path("results/runs")

FINISHED, TRIALS_FAILED, INTERRUPTED = 0, 1, 130


def launch(request: Request, console: Console) -> int:
    """Run what is asked for and show it; returns the exit code.

    Raises:
        UserError: something about the request is wrong. Nothing has been computed then.
    """
    planners = [planner_spec(name, overrides) for name, overrides in request.planners]
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
    sweep = Sweep(planners, task_sets, request.batch)
    executor = LocalProcesses(Assignment(request.model, settings, workers))
    out = request.out or RUNS_FOLDER / settings.digest()
    with open_run_folder(out, settings) as folder:
        return _run_and_show(
            sweep, folder, executor, request.line_per_trial, loaded.prior_sha256, console
        )


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


def _run_and_show(
    sweep: Sweep,
    folder: RunFolder,
    executor: LocalProcesses,
    line_per_trial: bool,
    prior_sha256: str | None,
    console: Console,
) -> int:
    asked_for = sweep.all_keys()
    per_planner = len(asked_for) // len(sweep.planners)
    totals = {planner.label: per_planner for planner in sweep.planners}
    interrupted = False
    with SweepProgress(console, totals, line_per_trial) as progress:
        earlier = folder.trials()
        if earlier is not None:
            mine = earlier[earlier["trial_key"].isin(asked_for) & (earlier["status"] == "ok")]
            _check_priors(mine, prior_sha256, folder)
            for label, group in mine.groupby("planner_label"):
                progress.recall(str(label), len(group), int(group["success"].sum()))
        try:
            run_sweep(sweep, folder, executor, progress.add)
        except KeyboardInterrupt:
            interrupted = True
        except WorkerDiedError as error:
            raise UserError(f"{error}: {_safe(progress.done, asked_for, folder)}") from error
    if interrupted:
        console.print(f"stopped: {_safe(progress.done, asked_for, folder)}", soft_wrap=True)
        return INTERRUPTED
    _show(folder, asked_for, console)
    if progress.errors:
        console.print(
            f"{len(progress.errors)} trial(s) ended in an error; the first, "
            f"{progress.errors[0]['trial_key']}: {error_summary(progress.errors[0])}\n"
            "the same command tries them again",
            style="red",
            markup=False,
            soft_wrap=True,
        )
        return TRIALS_FAILED
    return FINISHED


def _check_priors(trials: pd.DataFrame, prior_sha256: str | None, folder: RunFolder) -> None:
    others = set(trials["prior_sha256"].dropna()) - {prior_sha256}
    if others:
        raise UserError(
            f"'{folder.path}' holds trials with another action prior ({others.pop()[:12]}) than "
            f"the model has now ({str(prior_sha256)[:12]}): choose another --out"
        )


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
