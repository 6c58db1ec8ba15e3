"""What `grasp-bench tune` does: rounds of one setting per planner and horizon, then a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from rich.console import Console

from grasp_bench.launch import (
    FINISHED,
    INTERRUPTED,
    Prepared,
    check_prior,
    prepare,
    report_errors,
    run_shown,
)
from grasp_bench.machine import describe_machine
from grasp_bench.planners.configure import Setting
from grasp_bench.report.writers import rich_sheets
from grasp_bench.request import TuningRequest
from grasp_bench.run_folder import RunFolder, open_run_folder
from grasp_bench.sweep import Sweep, planner_spec
from grasp_bench.tuning.settings_file import (
    SettingsFile,
    TunedCell,
    TunedSettings,
    TuningBudget,
    find_settings,
    write_settings,
)
from grasp_bench.tuning.study import PlannerStudy, Tried, open_storage, search_space
from grasp_bench.tuning.summary import summary_sheet
from grasp_bench.worker import PlannerSpec, trial_key

TUNING_FOLDER = Path("results/tuning")
SETTINGS_FILE = "settings.json"
FAILURE_COST = 2.0  # budgets that a failure counts as: PAR2


@dataclass(frozen=True)
class Asked:
    """A setting on its way: the study that asked for it, and the planner it makes."""

    study: PlannerStudy
    spec: PlannerSpec


def tune(request: TuningRequest, console: Console) -> int:
    """Look for the settings of every planner at every horizon; returns the exit code.

    However this ends, the same command goes on.

    Raises:
        UserError: something about the request is wrong. Nothing has been computed then.
    """
    for planner in request.planners:
        search_space(planner)
    prepared = prepare(request.run)
    name = f"{prepared.loaded.name}-{prepared.settings.digest()}"
    out = request.run.out or TUNING_FOLDER / name
    with open_run_folder(out, prepared.settings) as folder:
        studies = _studies(request, prepared, folder)
        while asked := _next_round(studies, request.settings):
            done = len(asked[0].study.tried())
            console.print(
                f"setting {done + 1} of {request.settings} per planner and horizon", markup=False
            )
            if not _run_round(asked, prepared, folder, console):
                return INTERRUPTED
    found = _found(studies, request, prepared)
    console.print(rich_sheets([summary_sheet(found)]))
    path = request.write or out / SETTINGS_FILE
    write_settings(path, found)
    console.print(str(path), soft_wrap=True, highlight=False, markup=False)
    return FINISHED


def _studies(request: TuningRequest, prepared: Prepared, folder: RunFolder) -> list[PlannerStudy]:
    storage = open_storage(folder.path)
    file = find_settings(request.run.model)
    in_use = file if file is not None and file.fits(prepared.loaded.sha256) else None
    return [
        PlannerStudy(
            storage,
            planner,
            horizon,
            request.run.trials,
            request.run.seed,
            _in_use(in_use, planner, horizon),
        )
        for planner in request.planners
        for horizon in request.run.horizons
    ]


def _in_use(file: SettingsFile | None, planner: str, horizon: int) -> Mapping[str, Setting]:
    cell = None if file is None else file.content.nearest(planner, horizon)
    return {} if cell is None else cell.settings


def _next_round(studies: Sequence[PlannerStudy], settings: int) -> list[Asked]:
    """A setting of each of the studies that are furthest behind; empty when all have enough."""
    least = min(len(study.tried()) for study in studies)
    if least >= settings:
        return []
    behind = [study for study in studies if len(study.tried()) == least]
    return [Asked(study, planner_spec(study.planner, study.ask())) for study in behind]


def _run_round(
    asked: Sequence[Asked], prepared: Prepared, folder: RunFolder, console: Console
) -> bool:
    """Whether it ran to its end; then every study knows what came of it."""
    planners: dict[int, list[PlannerSpec]] = {}
    for one in asked:
        planners.setdefault(one.study.horizon, []).append(one.spec)
    task_sets = {horizon: prepared.task_sets[horizon] for horizon in planners}
    sweep = Sweep(planners, task_sets, prepared.settings.batch)
    check_prior(folder, sweep, prepared.loaded.prior_sha256)
    errors = run_shown(sweep, folder, prepared.executor, console, by="planner")
    if errors is None:
        return False
    if errors:
        report_errors(errors, "they count as failures", console)
    trials = folder.trials()
    assert trials is not None
    for one in asked:
        tasks = prepared.task_sets[one.study.horizon].tasks
        own = trials[trials["trial_key"].isin([trial_key(one.spec, task.id) for task in tasks])]
        one.study.tell(*scored(own, prepared.settings.budget))
    return True


def scored(trials: pd.DataFrame, budget: float) -> tuple[float, float, float]:
    """PAR2, success rate and mean realised cost of trials, see `Tried`.

    One that ended in an error is a failure.
    """
    success = trials["success"].fillna(False).astype(bool)
    times = trials["time_to_success"].astype(float).where(success, FAILURE_COST * budget)
    costs = trials["blind_cost_realised"].astype(float).fillna(math.inf)
    return float(times.mean()), float(success.mean()), float(costs.mean())


def best_of(tried: Sequence[Tried]) -> Tried:
    """The lowest PAR2; of settings that solve nothing, whose plans end nearer; then the earlier."""
    return min(tried, key=lambda one: (one.par2, one.cost))


def _found(
    studies: Sequence[PlannerStudy], request: TuningRequest, prepared: Prepared
) -> TunedSettings:
    planners: dict[str, dict[int, TunedCell]] = {}
    for study in studies:
        tried = study.tried()[: request.settings]
        best, default = best_of(tried), tried[0]
        planners.setdefault(study.planner, {})[study.horizon] = TunedCell(
            best.settings, best.par2, best.success, default.par2, default.success
        )
    settings = prepared.settings
    return TunedSettings(
        model=prepared.loaded.name,
        model_sha256=prepared.loaded.sha256,
        tuning=TuningBudget(
            request.settings,
            request.run.trials,
            settings.budget,
            settings.clock,
            prepared.workers,
        ),
        made={
            "date": datetime.now(UTC).date().isoformat(),
            "objective": "PAR2, then realised cost",
            "task_set_sha256": settings.task_set_sha256,
            "prior_sha256": prepared.loaded.prior_sha256,
            "master_seed": settings.master_seed,
            "device": settings.device,
            "threads": settings.threads,
            **asdict(describe_machine(settings.device)),
        },
        planners=planners,
    )
