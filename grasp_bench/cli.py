"""The command line: parse, call one function, print.

Commands import what they need when they run, so that `--help` and `table` never wait for
torch, pandas or pictures.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from grasp_bench.cli_bench import bench
from grasp_bench.cli_figures import figure_app
from grasp_bench.cli_looking import play, replay, report
from grasp_bench.cli_models import models_app
from grasp_bench.cli_options import (
    Batch,
    Budget,
    Clock,
    Device,
    MaxIterations,
    Model,
    Out,
    ProtocolOption,
    ReplanEvery,
    Seed,
    Stop,
    Tasks,
    Threads,
    Trials,
    Untuned,
    Workers,
)
from grasp_bench.cli_planners import check_planner, planners
from grasp_bench.cli_results import compare, results_app, table
from grasp_bench.cli_training import data_app, finetune, tasks_app, train, train_prior
from grasp_bench.cli_tuning import tune
from grasp_bench.errors import UserError
from grasp_bench.report import console
from grasp_bench.request import Request, choose_sweep, parse_overrides

EXIT_BAD_INPUT = 2

app = typer.Typer(
    name="grasp-bench",
    help="Benchmark planners on learned world models: GRASP, LatCo, CEM and GD on Push-T.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Benchmark planners on learned world models."""


@app.command()
def run(
    planner: Annotated[str, typer.Option(help="See `grasp-bench planners`.")],
    horizon: Annotated[int, typer.Option(help="Environment steps from start to goal.")],
    trials: Trials = 50,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A hyperparameter; repeatable."),
    ] = None,
    untuned: Untuned = False,
    tasks: Tasks = "eval",
    model: Model = "pusht-compact",
    device: Device = "cpu",
    clock: Clock = "wall",
    budget: Budget = None,
    max_iterations: MaxIterations = None,
    stop: Stop = "first-success",
    protocol: ProtocolOption = "open-loop",
    replan_every: ReplanEvery = None,
    batch: Batch = 1,
    seed: Seed = 0,
    workers: Workers = None,
    threads: Threads = 1,
    out: Out = None,
) -> None:
    """Run one planner at one horizon; a line per trial. The same command goes on after a stop."""
    _launch(
        Request(
            planners=[(planner, parse_overrides(overrides or []))],
            settings="untuned" if untuned else "tuned",
            horizons=[horizon],
            trials=trials,
            tasks=tasks,
            model=model,
            device=device,
            clock=clock,
            budget=budget,
            max_iterations=max_iterations,
            stop=stop,
            protocol=protocol,
            replan_every=replan_every,
            batch=batch,
            seed=seed,
            workers=workers,
            threads=threads,
            out=out,
            line_per_trial=True,
        )
    )


@app.command()
def sweep(
    planners: Annotated[str | None, typer.Option(help="Names, separated by commas.")] = None,
    horizons: Annotated[
        str | None, typer.Option(help="Environment steps, separated by commas.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="paper, all, short, ablation or regression, in the place of --planners."),
    ] = None,
    trials: Trials = 50,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PLANNER.KEY=VALUE", help="Repeatable."),
    ] = None,
    untuned: Untuned = False,
    tasks: Tasks = "eval",
    model: Model = "pusht-compact",
    device: Device = "cpu",
    clock: Clock = "wall",
    budget: Budget = None,
    max_iterations: MaxIterations = None,
    stop: Stop = "first-success",
    protocol: ProtocolOption = "open-loop",
    replan_every: ReplanEvery = None,
    batch: Batch = 1,
    seed: Seed = 0,
    workers: Workers = None,
    threads: Threads = 1,
    out: Out = None,
) -> None:
    """Run planners x horizons. The same command goes on after a stop."""
    chosen = choose_sweep(preset, planners, horizons, overrides or [])
    _launch(
        Request(
            planners=chosen.configurations,
            settings="pinned" if chosen.pinned else "untuned" if untuned else "tuned",
            horizons=chosen.horizons,
            trials=trials,
            tasks=tasks,
            model=model,
            device=device,
            clock=clock,
            budget=budget,
            max_iterations=max_iterations,
            stop=stop,
            protocol=protocol,
            replan_every=replan_every,
            batch=batch,
            seed=seed,
            workers=workers,
            threads=threads,
            out=out,
            line_per_trial=False,
        )
    )


app.command()(planners)
app.command()(check_planner)
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")
app.add_typer(tasks_app, name="tasks")
app.add_typer(figure_app, name="figure")
app.command()(train)
app.command()(finetune)
app.command()(train_prior)
app.command()(replay)
app.command()(play)
app.command()(bench)
app.command()(tune)
app.add_typer(results_app, name="results")
app.command()(report)
app.command()(table)
app.command()(compare)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point. A `UserError` is one sentence on stderr and exit code 2."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        app(args=given, prog_name="grasp-bench")
    except (UserError, OSError) as error:
        if "--debug" in given:
            raise
        sentence = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            sentence = f"cannot use '{error.filename}': {error.strerror}"
        typer.echo(f"grasp-bench: {sentence}", err=True)
        sys.exit(EXIT_BAD_INPUT)
    sys.exit(0)


def _launch(request: Request) -> NoReturn:
    from grasp_bench.launch import launch

    raise typer.Exit(launch(request, console()))
