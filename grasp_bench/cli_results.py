"""The commands that read results: tables, a run held against another, and results themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grasp_bench.errors import UserError
from grasp_bench.report import GATE_SIGNIFICANCE, SLOWDOWN, Format, Outcome, TableKind, console

EXIT_REGRESSION = EXIT_DISAGREEMENT = 1

if TYPE_CHECKING:
    from grasp_bench.report.sheet import Sheet

results_app = typer.Typer(no_args_is_help=True, help="Look into results, merge and check them.")

Results = Annotated[Path, typer.Argument(help="Results file or run folder.")]


def table(
    paths: Annotated[list[Path], typer.Argument(help="Results files or run folders.")],
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = "rich",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write it here.")] = None,
    kind: Annotated[
        TableKind,
        typer.Option(
            help="The paper's table, the same with planners down, times with failures counted, "
            "planners against each other, or configurations of one."
        ),
    ] = "results",
    outcome: Annotated[
        Outcome,
        typer.Option(help="Success at some check, or of the plan committed to at the end."),
    ] = "first",
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Show 95% intervals and counts in the cells.")
    ] = False,
) -> None:
    """A table of results; the paper's has the paper's numbers beside."""
    from grasp_bench.report.ablation import ablation_sheets
    from grasp_bench.report.notes import BLIND_NOTE
    from grasp_bench.report.pairwise import pairwise_sheets
    from grasp_bench.report.rows import TABLE_COLUMNS, build_table, by_outcome, combine
    from grasp_bench.report.table import results_sheet
    from grasp_bench.report.times import times_sheet
    from grasp_bench.report.writers import render
    from grasp_bench.results import read_results

    trials = combine([read_results(path, TABLE_COLUMNS) for path in paths])
    trials = by_outcome(trials, outcome)
    if kind == "ablation":
        sheets = ablation_sheets(trials, intervals, outcome)
    else:
        rows = build_table(trials, outcome)
        if kind == "pairwise":
            sheets = pairwise_sheets(rows, trials)
        elif kind == "times":
            sheets = [times_sheet(rows, trials, intervals)]
        else:
            results = results_sheet(rows, intervals)
            sheets = [results.transposed("Planner") if kind == "planners" else results]
    if outcome == "blind":
        sheets[-1].notes.insert(0, BLIND_NOTE)
    if output is None:
        _print(sheets, form)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(render(sheets, form), encoding="utf-8")
    typer.echo(output)


@results_app.command()
def show(
    path: Results,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = "rich",
) -> None:
    """What results hold: trials, settings, versions, hardware."""
    from grasp_bench.report.contents import contents_sheets
    from grasp_bench.results import read_results, schema_version

    trials = read_results(path)
    _print(contents_sheets(trials, schema_version(path)), form)


@results_app.command()
def merge(
    paths: Annotated[list[Path], typer.Argument(help="Results files or run folders.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Parquet file to write.")],
) -> None:
    """Put results of the same settings into one file, each trial once."""
    from grasp_bench.results import merge_results, write_frame

    if output.exists():
        raise UserError(f"'{output}' is there already: pick another --output")
    trials = merge_results(paths)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_frame(output, trials)
    typer.echo(f"{output}: {len(trials)} trials")


@results_app.command()
def check(
    path: Results,
    sample: Annotated[int, typer.Option(min=1, help="Trials to recompute.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample.")] = 0,
    model: Annotated[
        str | None,
        typer.Option(help="World model, by name or path.", show_default="by the rows' hash"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Torch device.", show_default="the rows'")
    ] = None,
) -> None:
    """Recompute a sample of trials from their rows; exits with 1 unless all agree."""
    from grasp_bench.results import read_results
    from grasp_bench.verification import check_trials

    agreeing = checked = 0
    for trial in check_trials(read_results(path), sample, seed, model, device):
        checked += 1
        agreeing += trial.agrees
        typer.echo(f"{trial.trial_key}: {'agrees' if trial.agrees else 'DIFFERS'}; {trial.plan}")
        for difference in trial.differences:
            typer.echo(f"  {difference}")
    typer.echo(f"{agreeing} of {checked} sampled trials agree ({agreeing / checked:.0%})")
    if agreeing < checked:
        raise typer.Exit(EXIT_DISAGREEMENT)


def compare(
    base: Results,
    new: Results,
    significance: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Chance of a false alarm, all tests together."),
    ] = GATE_SIGNIFICANCE,
    slowdown: Annotated[
        float, typer.Option(min=1.0, help="Ratio up to which longer planner seconds pass.")
    ] = SLOWDOWN,
    complete: Annotated[
        bool, typer.Option("--complete", help="Fail if NEW lacks trials that BASE has.")
    ] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write it here, for a pull request.")
    ] = None,
) -> None:
    """Hold a run against a stored one; exits with 1 if anything got significantly worse."""
    from grasp_bench.report.comparison import compare as compare_runs
    from grasp_bench.report.comparison_text import (
        comparison_sheet,
        conclusion,
        markdown_comment,
        sentences,
    )
    from grasp_bench.results import read_results

    comparison = compare_runs(
        read_results(base),
        read_results(new),
        significance=significance,
        slowdown=slowdown,
        complete=complete,
    )
    _print([comparison_sheet(comparison)], "rich")
    for sentence in [*sentences(comparison), conclusion(comparison)]:
        typer.echo(sentence)
    if markdown is not None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        markdown.write_text(markdown_comment(comparison), encoding="utf-8")
    if comparison.regressed:
        raise typer.Exit(EXIT_REGRESSION)


def _print(sheets: Sequence[Sheet], form: Format) -> None:
    from grasp_bench.report.writers import render, rich_sheets

    if form == "rich":
        console().print(rich_sheets(sheets))
    else:
        typer.echo(render(sheets, form), nl=False)
