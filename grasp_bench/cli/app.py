"""Puts the commands together, and turns a user's error into one sentence.

Commands import what they need when they run, so that `--help` and `table` never wait for
torch, pandas or pictures.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from grasp_bench.cli.figure_commands import figure_app
from grasp_bench.cli.model_commands import models_app
from grasp_bench.cli.planner_commands import check_planner, planners
from grasp_bench.cli.result_commands import compare, results_app, table
from grasp_bench.cli.run_commands import run, sweep
from grasp_bench.cli.training_commands import data_app, tasks_app, train, train_prior
from grasp_bench.cli.tuning_commands import tune
from grasp_bench.cli.viewing_commands import play, replay, report
from grasp_bench.core.errors import UserError

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


for _command in (
    *(run, sweep, planners, check_planner, train, train_prior),
    *(replay, play, tune, report, table, compare),
):
    app.command()(_command)
for _group in (data_app, models_app, tasks_app, figure_app, results_app):
    app.add_typer(_group)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs a command. A `UserError` is one sentence on stderr and exit code 2."""
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
