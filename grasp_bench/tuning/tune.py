"""Tunes planners: rounds of one setting per planner and horizon, then a file of the best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout
from rich.console import Console

from grasp_bench.analysis.sheet import NOTHING, Entry, Sheet
from grasp_bench.core.errors import UserError
from grasp_bench.core.system import describe_system
from grasp_bench.planners import PlannerSpec, planner_spec
from grasp_bench.run.config import RunConfig
from grasp_bench.run.folder_checks import check_prior
from grasp_bench.run.launch import report_errors, run_shown, teller
from grasp_bench.run.preparation import Prepared, prepare
from grasp_bench.run.run_folder import RunFolder, open_run_folder
from grasp_bench.run.sweep import Sweep
from grasp_bench.tuning.settings_file import (
    SettingsFile,
    TunedCell,
    TunedSettings,
    TuningBudget,
    find_settings,
    read_settings,
    write_settings,
)
from grasp_bench.tuning.study import PlannerStudy, Tried, open_storage, search_space

TUNING_FOLDER = Path("results/tuning")
SETTINGS_FILE = "settings.json"
LOCK_FILE = ".tune.lock"
FAILURE_COST = 2.0  # budgets that a failure counts as: PAR2

Asked = tuple[PlannerStudy, PlannerSpec]  # a setting on its way, by the study that asked for it


def tune(
    run: RunConfig, settings: int, write: Path | None, console: Console
) -> SettingsFile | None:
    """Looks for the hyperparameters of every planner at every horizon.

    Returns the file of the best, or None if interrupted. The same command then goes on.

    Args:
        run: planners, model, horizons, tasks, clock and budget of every trial.
        settings: to try per planner and horizon, the default included.
        write: where the best go; by default into the run folder.
        console: to report on.

    Raises:
        UserError: something about the search is wrong. Nothing has been computed then.
    """
    for planner, _ in run.planners:
        search_space(planner)
    prepared = prepare(run)
    out = run.out or TUNING_FOLDER / f"{prepared.loaded.name}-{prepared.digest()}"
    with open_run_folder(out, prepared.settings, teller(console)) as folder, _alone(out):
        studies = _studies(prepared, folder)
        while asked := _next_round(studies, settings):
            done = len(asked[0][0].tried())
            console.print(f"setting {done + 1} of {settings} per planner and horizon", markup=False)
            if not _run_round(asked, prepared, folder, console):
                return None
    path = write or out / SETTINGS_FILE
    write_settings(path, _found(studies, settings, prepared))
    return read_settings(path)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Holds the studies of a folder: a search follows one line of settings.

    Raises:
        UserError: another process holds them.
    """
    lock = FileLock(out / LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"another process tunes in '{out}': wait for it, or pick another --out"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _studies(prepared: Prepared, folder: RunFolder) -> list[PlannerStudy]:
    run, storage = prepared.config, open_storage(folder.path)
    file = find_settings(run.model)
    known = file.content if file is not None and file.fits(prepared.loaded.sha256) else None

    def study(planner: str, horizon: int) -> PlannerStudy:
        cell = None if known is None else known.nearest(planner, horizon)
        in_use = {} if cell is None else cell.settings
        seed = run.protocol.master_seed
        return PlannerStudy(storage, planner, horizon, run.trials, seed, in_use)

    return [study(planner, horizon) for planner, _ in run.planners for horizon in run.horizons]


def _next_round(studies: Sequence[PlannerStudy], settings: int) -> list[Asked]:
    """Asks the studies that are furthest behind for a setting; empty when all have enough."""
    least = min(len(study.tried()) for study in studies)
    if least >= settings:
        return []
    behind = [study for study in studies if len(study.tried()) == least]
    return [(study, planner_spec(study.planner, study.ask())) for study in behind]


def _run_round(
    asked: Sequence[Asked], prepared: Prepared, folder: RunFolder, console: Console
) -> bool:
    """Runs a round and tells every study what came of it; returns whether it ran to its end."""
    planners: dict[int, list[PlannerSpec]] = {}
    for study, spec in asked:
        planners.setdefault(study.horizon, []).append(spec)
    task_sets = {horizon: prepared.task_sets[horizon] for horizon in planners}
    sweep = Sweep(planners, task_sets, prepared.config.protocol.batch)
    check_prior(folder, sweep, prepared.loaded.prior_sha256)
    errors = run_shown(sweep, folder, prepared, console, by="planner")
    if errors is None:
        return False
    if errors:
        report_errors(errors, "they count as failures", console)
    trials = folder.trials()
    assert trials is not None
    for study, spec in asked:
        tasks = prepared.task_sets[study.horizon].tasks
        own = trials[trials["trial_key"].isin([spec.trial_key(task.id) for task in tasks])]
        study.tell(*scored(own, prepared.config.protocol.budget))
    return True


def scored(trials: pd.DataFrame, budget: float) -> tuple[float, float, float]:
    """Returns PAR2, success rate and mean realised cost of trials, see `Tried`.

    One that ended in an error is a failure.
    """
    success = trials["success"].fillna(False).astype(bool)
    times = trials["time_to_success"].astype(float).where(success, FAILURE_COST * budget)
    costs = trials["final_plan_cost_realised"].astype(float).fillna(math.inf)
    return float(times.mean()), float(success.mean()), float(costs.mean())


def best_of(tried: Sequence[Tried]) -> Tried:
    """Picks the lowest PAR2; of settings that solve nothing, the nearest plans; then the first."""
    return min(tried, key=lambda one: (one.par2, one.cost))


def _found(studies: Sequence[PlannerStudy], settings: int, prepared: Prepared) -> TunedSettings:
    planners: dict[str, dict[int, TunedCell]] = {}
    for study in studies:
        tried = study.tried()[:settings]
        best, default = best_of(tried), tried[0]
        planners.setdefault(study.planner, {})[study.horizon] = TunedCell(
            best.settings, best.par2, best.success, default.par2, default.success
        )
    protocol = prepared.config.protocol
    return TunedSettings(
        model=prepared.loaded.name,
        model_sha256=prepared.loaded.sha256,
        tuning=TuningBudget(
            settings, prepared.config.trials, protocol.budget, protocol.clock, prepared.workers
        ),
        made={
            "date": datetime.now(UTC).date().isoformat(),
            "objective": "PAR2, then realised cost",
            "task_set_sha256": prepared.settings["task_set_sha256"],
            "prior_sha256": prepared.loaded.prior_sha256,
            "master_seed": protocol.master_seed,
            "device": protocol.device,
            "threads": protocol.threads,
            **asdict(describe_system(protocol.device)),
        },
        planners=planners,
    )


def summary_sheet(found: TunedSettings) -> Sheet:
    """Makes a row per planner and horizon: the default's result, the best one's, its settings."""
    unit = "s" if found.tuning.clock == "wall" else "candidates"
    rows, records = [], []
    for planner, by_horizon in found.planners.items():
        for horizon, cell in by_horizon.items():
            settings = ", ".join(f"{name}={value}" for name, value in cell.settings.items())
            default = _result(cell.default_par2, cell.default_success, unit)
            best = Entry(_result(cell.par2, cell.success, unit), bold=bool(settings))
            names = Entry(planner), Entry(f"H={horizon}")
            rows.append([*names, Entry(default), best, Entry(settings or "the defaults")])
            records.append({"planner": planner, "horizon": horizon, **vars(cell)})
    return Sheet(
        headings=["Planner", "Horizon", "Default", "Best", "Settings of the best"],
        rows=rows,
        records=records,
        notes=[
            f"PAR2 / success rate. PAR2: mean planner {unit} to success, a failure counted as "
            f"twice the budget. Best: {found.described()}. The best of many is flattered "
            "by the tasks it was chosen on: measure it on others."
        ],
        labels=2,
    )


def _result(par2: float | None, success: float, unit: str) -> str:
    return f"{NOTHING if par2 is None else f'{par2:.3g} {unit}'} / {success:.1%}"
