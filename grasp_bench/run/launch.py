"""Runs what was prepared: opens the folder, checks it, runs, shows progress."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from rich.console import Console

from grasp_bench.core.errors import UserError, error_summary, os_error_sentence
from grasp_bench.core.types import Planner, Row
from grasp_bench.planners import PlannerSpec, make_planner
from grasp_bench.run.executors import EXECUTORS, Failure, WorkersEndedError
from grasp_bench.run.folder_checks import (
    check_criteria,
    check_labelling,
    check_names,
    check_planner_files,
    check_prior,
    finished_trials,
)
from grasp_bench.run.preparation import Prepared, resource_limits
from grasp_bench.run.progress import SweepProgress
from grasp_bench.run.run_folder import RunFolder, open_run_folder
from grasp_bench.run.sweep import Sweep, run_sweep
from grasp_bench.run.worker import Assignment, given_up
from grasp_bench.trial.memory import check_memory

RUNS_FOLDER = Path("results/runs")

FINISHED, TRIALS_FAILED, INTERRUPTED = 0, 1, 130


@dataclass(frozen=True)
class Finished:
    """What a run left: its exit code, its folder and the trials asked for, None if interrupted."""

    exit_code: int
    folder: Path
    trials: pd.DataFrame | None


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
        named = {h: [(spec.label, _made(spec)) for spec in specs] for h, specs in planners.items()}
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
