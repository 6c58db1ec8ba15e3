"""Declares the commands that run trials."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from grasp_bench.cli import printing
from grasp_bench.cli.options import (
    PLANNER_HELP,
    Overrides,
    Results,
    RunOptions,
    with_run_options,
)
from grasp_bench.core.errors import one_line
from grasp_bench.run.config import RunConfig, Start, choose_sweep, parse_overrides


@with_run_options
def run(
    planner: Annotated[str, typer.Option(help=PLANNER_HELP)],
    horizon: Annotated[int, typer.Option(help="Environment steps from start to goal.")],
    options: RunOptions,
    overrides: Overrides = None,
) -> None:
    """Run one planner at one horizon; a line per trial. The same command goes on after a stop."""
    config = options.config([(planner, parse_overrides(overrides or []))], [horizon])
    _launch(config, line_per_trial=True)


@with_run_options
def sweep(
    options: RunOptions,
    planners: Annotated[
        str | None, typer.Option(help=f"Separated by commas. {PLANNER_HELP}")
    ] = None,
    horizons: Annotated[
        str | None, typer.Option(help="Environment steps, separated by commas.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="paper, all, short, ablation or regression, in the place of --planners."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PLANNER.KEY=VALUE", help="Repeatable."),
    ] = None,
) -> None:
    """Run planners x horizons. The same command goes on after a stop."""
    chosen = choose_sweep(preset, planners, horizons, overrides or [])
    start: Start | None = "pinned" if chosen.pinned else None
    _launch(options.config(chosen.planners, chosen.horizons, start), line_per_trial=False)


def _launch(config: RunConfig, line_per_trial: bool) -> NoReturn:
    from grasp_bench.analysis.aggregate import build_table
    from grasp_bench.analysis.results_table import results_sheet
    from grasp_bench.run.launch import launch
    from grasp_bench.run.preparation import prepare
    from grasp_bench.run.store import TRIALS_FILE
    from grasp_bench.tuning.resolve import resolve_planners

    prepared = prepare(config)
    planners = resolve_planners(
        config.planners, config.horizons, config.start, config.model, prepared.loaded.sha256
    )
    done = launch(prepared, planners, printing.console(), line_per_trial)
    if done.trials is not None:
        printing.show([results_sheet(build_table(done.trials))], "rich")
        print(done.folder / TRIALS_FILE)
    raise typer.Exit(done.exit_code)


def status(results: Results) -> None:
    """Say how far a run is, also while another process runs it."""
    from grasp_bench.run.status import read_status

    for line in read_status(results).lines():
        print(one_line(line))
