"""The command that looks for planners' settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grasp_bench.cli_options import Clock, Device, Model, Seed, Threads, Workers
from grasp_bench.report import console
from grasp_bench.request import Request, TuningRequest, parse_horizons, parse_names
from grasp_bench.settings import ClockKind

DEFAULT_BUDGET: dict[ClockKind, float] = {"wall": 2.0, "iterations": 100.0}


def tune(
    planners: Annotated[
        str | None,
        typer.Option(help="Names, separated by commas.", show_default="all built-in ones"),
    ] = None,
    horizons: Annotated[str, typer.Option(help="Environment steps, separated by commas.")] = (
        "40,60,80"
    ),
    settings: Annotated[
        int, typer.Option(min=1, help="Settings per planner and horizon, the default included.")
    ] = 10,
    trials: Annotated[
        int, typer.Option(min=1, help="Tasks per setting: the first N of the tuning set.")
    ] = 16,
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
    from grasp_bench.tuning.study import tunable_planners
    from grasp_bench.tuning.tune import tune

    names = tunable_planners() if planners is None else parse_names(planners)
    run = Request(
        planners=[(name, {}) for name in names],
        settings="pinned",
        horizons=parse_horizons(horizons),
        trials=trials,
        tasks="tune",
        model=model,
        device=device,
        clock=clock,
        budget=DEFAULT_BUDGET[clock] if budget is None else budget,
        max_iterations=None,
        stop="first-success",
        protocol="open-loop",
        replan_every=None,
        batch=1,
        seed=seed,
        workers=workers,
        threads=threads,
        out=out,
        line_per_trial=False,
    )
    raise typer.Exit(tune(TuningRequest(run=run, settings=settings, write=write), console()))
