"""`grasp-bench figure KIND`: one figure of results, or of one trial's plan."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from grasp_bench.cli_looking import Checkpoint, Device, Results, Trial
from grasp_bench.errors import UserError

if TYPE_CHECKING:
    from grasp_bench.recreate import RecordedTrial
    from grasp_bench.report.figures.drawing import Drawing

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


@figure_app.command("bench")
def of_bench(
    results: Annotated[Path, typer.Argument(help="What `grasp-bench bench` wrote.")],
    output: Output = Path("bench"),
) -> None:
    """How fast planners are: against their floor, over T and over the batch."""
    from grasp_bench.speed.figure import draw_speed
    from grasp_bench.speed.rows import read_speed

    _write(draw_speed(read_speed(results)), output, "bench", results)


def _of_results(kind: str, results: list[Path], output: Path) -> None:
    from grasp_bench.report.figures import FIGURE_COLUMNS, RESULT_FIGURES
    from grasp_bench.report.figures.drawing import figure_files
    from grasp_bench.report.rows import build_table, combine
    from grasp_bench.results import read_results

    figure_files(output)
    trials = combine([read_results(path, FIGURE_COLUMNS) for path in results])
    drawing = RESULT_FIGURES[kind](build_table(trials), trials)
    _write(drawing, output, kind, *results)


@figure_app.command()
def traces(
    results: Results,
    trials: Annotated[list[str], typer.Argument(help="Trial keys, or patterns that fit one each.")],
    output: Output = Path("traces"),
    model: Checkpoint = None,
    device: Device = None,
) -> None:
    """Goal cost and dynamics defect of plans over their iterations."""
    from grasp_bench.viewing.figures.traces import draw_traces
    from grasp_bench.viewing.history import history

    recorded = _recorded(results, trials, output, model, device)
    drawing = draw_traces([(trial, history(trial)) for trial in recorded])
    _write(drawing, output, "traces", results, *trials)


@figure_app.command("virtual-states")
def virtual_states(
    results: Results,
    trial: Trial,
    output: Output = Path("virtual-states"),
    model: Checkpoint = None,
    device: Device = None,
) -> None:
    """The virtual states of a plan over its iterations, decoded."""
    from grasp_bench.recreate import agreement, plan_again
    from grasp_bench.viewing.figures.virtual_states import draw_virtual_states
    from grasp_bench.viewing.history import history

    (recorded,) = _recorded(results, [trial], output, model, device)
    again = plan_again(recorded)
    typer.echo(agreement(recorded, again))
    drawing = draw_virtual_states(recorded, again, history(recorded))
    _write(drawing, output, "virtual-states", results, trial)


@figure_app.command()
def landscape(
    results: Results,
    trial: Trial,
    directions: Annotated[
        Literal["planned", "random"],
        typer.Option(help="First direction: towards GRASP's start, or random as the second."),
    ] = "planned",
    output: Output = Path("landscape"),
    model: Checkpoint = None,
    device: Device = None,
) -> None:
    """The serial and the lifted objective around a trial's plan."""
    from grasp_bench.recreate import agreement, plan_again
    from grasp_bench.viewing.figures.landscape import draw_landscape

    (recorded,) = _recorded(results, [trial], output, model, device)
    again = plan_again(recorded)
    typer.echo(agreement(recorded, again))
    drawing = draw_landscape(recorded, again, directions)
    _write(drawing, output, "landscape", results, trial, "--directions", directions)


@figure_app.command()
def adversarial(
    results: Results,
    trial: Trial,
    output: Output = Path("adversarial"),
    model: Checkpoint = None,
    device: Device = None,
) -> None:
    """Adversarial states of the model at a task's start, decoded."""
    from grasp_bench.viewing.figures.adversarial import draw_adversarial

    (recorded,) = _recorded(results, [trial], output, model, device)
    _write(draw_adversarial(recorded), output, "adversarial", results, trial)


def _recorded(
    results: Path, patterns: list[str], output: Path, model: str | None, device: str | None
) -> list[RecordedTrial]:
    from grasp_bench.recreate import find_trial, recreate
    from grasp_bench.report.figures.drawing import figure_files
    from grasp_bench.results import read_results

    figure_files(output)
    trials = read_results(results)
    rows = [find_trial(trials, pattern) for pattern in patterns]
    for row in rows:
        if row["protocol"] == "mpc":
            raise UserError(
                f"trial {row['trial_key']} was replanned in closed loop, so it has no one plan "
                "over iterations to draw: take an open-loop trial, or look at it with replay"
            )
    return [recreate(row, model, device) for row in rows]


def _write(drawing: Drawing, output: Path, kind: str, *arguments: object) -> None:
    from grasp_bench.report.figures.drawing import write_drawing

    made_by = shlex.join(["grasp-bench", "figure", kind, *map(str, arguments)])
    for file in write_drawing(drawing, output, made_by):
        typer.echo(file)
