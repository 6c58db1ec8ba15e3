"""`grasp-bench figure KIND`: one figure of results, or of one trial's plan."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

figure_app = typer.Typer(no_args_is_help=True, help="Draw one figure, by kind.")

Paths = Annotated[list[Path], typer.Argument(help="Results files or run folders.")]
Output = Annotated[
    Path,
    typer.Option(
        "-o", "--output", help="PNG, SVG or PDF by its ending; without one a PNG and an SVG."
    ),
]


@figure_app.command()
def success(results: Paths, output: Output = Path("success")) -> None:
    """Success over horizon with intervals, and the paper's beside."""
    _of_results("success", results, output)


@figure_app.command()
def solved(results: Paths, output: Output = Path("solved")) -> None:
    """Share of tasks solved over planner time, by horizon, with the number at risk."""
    _of_results("solved", results, output)


@figure_app.command("model-rows")
def model_rows(results: Paths, output: Output = Path("model-rows")) -> None:
    """Model rows per success over horizon: a cost that no hardware changes."""
    _of_results("model-rows", results, output)


def _of_results(kind: str, results: list[Path], output: Path) -> None:
    from grasp_bench.report.figures import RESULT_FIGURES
    from grasp_bench.report.figures.drawing import figure_files, write_drawing
    from grasp_bench.report.rows import build_table, combine
    from grasp_bench.results import read_results

    figure_files(output)
    trials = combine([read_results(path) for path in results])
    drawing = RESULT_FIGURES[kind](build_table(trials), trials)
    made_by = shlex.join(["grasp-bench", "figure", kind, *map(str, results)])
    for file in write_drawing(drawing, output, made_by):
        typer.echo(file)
