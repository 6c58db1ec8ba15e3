"""Declares the command that looks for planners' settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grasp_bench.cli import printing
from grasp_bench.cli.options import (
    PLANNER_HELP,
    Address,
    Clock,
    Device,
    Executor,
    Gpus,
    Model,
    Seed,
    Threads,
    TrialMemory,
    TrialTimeout,
    Workers,
)
from grasp_bench.run.config import RunConfig, parse_horizons, parse_names
from grasp_bench.trial.protocol import ClockKind, TrialProtocol

DEFAULT_BUDGET: dict[ClockKind, float] = {"wall": 2.0, "iterations": 100.0}


def tune(
    planners: Annotated[
        str | None,
        typer.Option(help=f"Separated by commas. {PLANNER_HELP}", show_default="all built-in ones"),
    ] = None,
    horizons: Annotated[str, typer.Option(help="Environment steps, separated by commas.")] = (
        "40,60,80"
    ),
    settings: Annotated[
        int, typer.Option(min=1, help="Settings per planner and horizon, the default included.")
    ] = 10,
    trials: Annotated[
        int, typer.Option(min=1, help="Tasks per setting: the first N of the tuning set.")
    ] = 24,
    model: Model = "pusht-compact",
    device: Device = "cpu",
    clock: Clock = "wall",
    budget: Annotated[
        float | None,
        typer.Option(help="Planner time per trial.", show_default="2 seconds or 100 candidates"),
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
    threads: Threads = 1,
    executor: Executor = "local",
    address: Address = None,
    gpus: Gpus = 0.0,
    trial_timeout: TrialTimeout = None,
    trial_memory: TrialMemory = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder.", show_default="results/tuning/ and the model's name"),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(help="Where the best settings go.", show_default="settings.json in --out"),
    ] = None,
) -> None:
    """Look for planners' settings on the tuning tasks. The same command goes on after a stop.

    Every planner gets the same number of settings, tasks and planner seconds at every
    horizon. What it finds is used once it lies in settings/ beside the model's checkpoint.
    """
    from grasp_bench.run.launch import INTERRUPTED
    from grasp_bench.tuning.study import tunable_planners
    from grasp_bench.tuning.tune import summary_sheet
    from grasp_bench.tuning.tune import tune as search

    names = tunable_planners() if planners is None else parse_names(planners)
    run = RunConfig(
        planners=[(name, {}) for name in names],
        start="pinned",
        horizons=parse_horizons(horizons),
        trials=trials,
        tasks="tune",
        model=model,
        protocol=TrialProtocol(
            master_seed=seed,
            clock=clock,
            budget=DEFAULT_BUDGET[clock] if budget is None else budget,
            device=device,
            threads=threads,
        ),
        workers=workers,
        out=out,
        executor=executor,
        trial_timeout=trial_timeout,
        trial_memory=trial_memory,
        gpus=gpus,
        address=address,
    )
    found = search(run, settings, write, printing.console())
    if found is None:
        raise typer.Exit(INTERRUPTED)
    printing.show([summary_sheet(found.content)], "rich")
    print(found.path)
