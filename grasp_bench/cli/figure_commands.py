"""Declares `grasp-bench figure KIND`: one figure of results, or of one trial's plan."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from grasp_bench.cli.options import Results, ResultsPaths, RowDevice, RowModel, Trial
from grasp_bench.core.errors import UserError

if TYPE_CHECKING:
    from grasp_bench.analysis.result_figures.drawing import Drawing
    from grasp_bench.trial.replay import RecordedTrial, Replay

figure_app = typer.Typer(name="figure", no_args_is_help=True, help="Draw one figure, by kind.")

Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="PNG, SVG or PDF by its ending; without one a PNG and an SVG.",
        show_default="the figure's kind",
    ),
]


@figure_app.command(
    "model-evals", help="Draw model evaluations per success over horizon, on any hardware."
)
@figure_app.command(
    "solved", help="Draw the share of tasks solved over planner time, with the number at risk."
)
@figure_app.command("failures", help="Draw why final plans failed, over horizon, by planner.")
@figure_app.command("success", help="Draw success over horizon, the paper's beside.")
def of_results(context: typer.Context, results: ResultsPaths, output: Output = None) -> None:
    """Draw the figure of results that the command is called after."""
    from grasp_bench.analysis.aggregate import build_table, combine
    from grasp_bench.analysis.result_figures import FIGURE_COLUMNS, RESULT_FIGURES
    from grasp_bench.analysis.result_figures.drawing import figure_files
    from grasp_bench.run.store import read_results

    kind = str(context.info_name)
    if output is not None:
        figure_files(output)
    trials = combine([read_results(path, FIGURE_COLUMNS) for path in results], results)
    _write(RESULT_FIGURES[kind](build_table(trials), trials), output, kind, *results)


@figure_app.command()
def traces(
    results: Results,
    trials: Annotated[list[str], typer.Argument(help="Trial keys, or patterns that fit one each.")],
    output: Output = None,
    model: RowModel = None,
    device: RowDevice = None,
) -> None:
    """Draw goal cost and dynamics defect of plans over their iterations."""
    from grasp_bench.trial.replay import history
    from grasp_bench.viewing.plan_figures.traces import draw_traces

    recorded = _recorded(results, trials, output, model, device)
    drawing = draw_traces([(trial, history(trial)) for trial in recorded])
    _write(drawing, output, "traces", results, *trials)


@figure_app.command("virtual-states")
def virtual_states(
    results: Results,
    trial: Trial,
    output: Output = None,
    model: RowModel = None,
    device: RowDevice = None,
) -> None:
    """Draw the virtual states of a plan over its iterations, decoded."""
    from grasp_bench.trial.replay import history
    from grasp_bench.viewing.plan_figures.virtual_states import draw_virtual_states

    (recorded,) = _recorded(results, [trial], output, model, device)
    drawing = draw_virtual_states(recorded, _replayed(recorded), history(recorded))
    _write(drawing, output, "virtual-states", results, trial)


@figure_app.command()
def landscape(
    results: Results,
    trial: Trial,
    directions: Annotated[
        Literal["planned", "random"],
        typer.Option(help="First direction: towards GRASP's start, or random as the second."),
    ] = "planned",
    output: Output = None,
    model: RowModel = None,
    device: RowDevice = None,
) -> None:
    """Draw the serial and the lifted objective around a trial's plan."""
    from grasp_bench.viewing.plan_figures.landscape import draw_landscape

    (recorded,) = _recorded(results, [trial], output, model, device)
    drawing = draw_landscape(recorded, _replayed(recorded), directions)
    _write(drawing, output, "landscape", results, trial, "--directions", directions)


@figure_app.command()
def adversarial(
    results: Results,
    trial: Trial,
    output: Output = None,
    model: RowModel = None,
    device: RowDevice = None,
) -> None:
    """Draw adversarial states of the model at a task's start, decoded."""
    from grasp_bench.viewing.plan_figures.adversarial import draw_adversarial

    (recorded,) = _recorded(results, [trial], output, model, device)
    _write(draw_adversarial(recorded), output, "adversarial", results, trial)


def _recorded(
    results: Path, patterns: list[str], output: Path | None, model: str | None, device: str | None
) -> list[RecordedTrial]:
    from grasp_bench.analysis.result_figures.drawing import figure_files
    from grasp_bench.run.store import read_results
    from grasp_bench.trial.replay import find_trial, load_trial

    if output is not None:
        figure_files(output)
    trials = read_results(results)
    rows = [find_trial(trials, pattern) for pattern in patterns]
    for row in rows:
        if row["protocol"] == "mpc":
            raise UserError(
                f"trial {row['trial_key']} was replanned in closed loop, so it has no one plan "
                "over iterations to draw: take an open-loop trial, or look at it with replay"
            )
    return [load_trial(row, model, device) for row in rows]


def _replayed(trial: RecordedTrial) -> Replay:
    """Plans a trial again, and says whether it gave the row's plan."""
    from grasp_bench.trial.replay import agreement, replay_trial

    again = replay_trial(trial)
    print(agreement(trial, again))
    return again


def _write(drawing: Drawing, output: Path | None, kind: str, *arguments: object) -> None:
    from grasp_bench.analysis.result_figures.drawing import write_drawing

    made_by = shlex.join(["grasp-bench", "figure", kind, *map(str, arguments)])
    for file in write_drawing(drawing, output or Path(kind), made_by):
        print(file)
