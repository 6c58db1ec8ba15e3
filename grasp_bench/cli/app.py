"""Puts the commands together, and turns a user's error into one sentence.

Commands import what they need when they run, so that `--help` and `table` never wait for
torch, pandas or pictures.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from grasp_bench.cli.data_commands import data_app
from grasp_bench.cli.figure_commands import figure_app
from grasp_bench.cli.model_commands import models_app
from grasp_bench.cli.planner_commands import check_planner, planners
from grasp_bench.cli.printing import print_anything
from grasp_bench.cli.result_commands import compare, results_app, table
from grasp_bench.cli.run_commands import run, status, sweep
from grasp_bench.cli.task_commands import tasks_app
from grasp_bench.cli.training_commands import train, train_prior
from grasp_bench.cli.tuning_commands import tune
from grasp_bench.cli.viewing_commands import play, replay, report
from grasp_bench.core.errors import UserError, one_line, os_error_sentence

EXIT_BAD_INPUT = 2
EXIT_TERMINATED = 143  # as a shell says it

# Of typer or, before its version 0.20, of click.
UsageError: Any = typer.BadParameter.__mro__[1]

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
    *(run, sweep, status, planners, check_planner, train, train_prior),
    *(replay, play, tune, report, table, compare),
):
    app.command()(_command)
for _group in (data_app, models_app, tasks_app, figure_app, results_app):
    app.add_typer(_group)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs a command. A `UserError` is one sentence on stderr and exit code 2."""
    given = sys.argv[1:] if arguments is None else arguments
    print_anything()
    terminated = _terminated_as_by_ctrl_c()
    try:
        _refuse_empty(given)
        code = app(args=given, prog_name="grasp-bench", standalone_mode=False)
    except (UserError, OSError, UsageError) as error:
        if "--debug" in given:
            raise
        if sentence := _sentence(error):
            print(f"grasp-bench: {one_line(sentence)}", file=sys.stderr)
        code = EXIT_BAD_INPUT
    sys.exit(EXIT_TERMINATED if terminated else code or 0)


def _sentence(error: Exception) -> str:
    """Puts an error of the user's into a sentence; empty where the help has been shown."""
    if isinstance(error, UsageError):
        sentence = " ".join(error.format_message().split())
        given = [problem["input"] for problem in getattr(error.__cause__, "errors", list)()]
        return sentence + "".join(f", not {x!r}" for x in given if repr(x) not in sentence)
    return os_error_sentence(error) if isinstance(error, OSError) else str(error)


def _refuse_empty(given: Sequence[str]) -> None:
    """Raises UserError for an argument that is there and says nothing, such as `--out ""`."""
    for before, argument in zip(["", *given], given, strict=False):
        option, equals, value = argument.partition("=")
        if argument == "":
            option = before if before.startswith("-") else "an argument"
        elif not (option.startswith("--") and equals and value == ""):
            continue
        raise UserError(f"{option} is empty: give it a value, or leave it out")


def _terminated_as_by_ctrl_c() -> list[int]:
    """Has SIGTERM end a command as Ctrl-C does; the list returned holds the signals that came."""
    came: list[int] = []

    def stop(number: int, frame: object) -> NoReturn:
        came.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
    return came
