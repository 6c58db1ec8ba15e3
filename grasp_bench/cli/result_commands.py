"""Declares the commands that read results: tables, comparisons, results themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grasp_bench.analysis import GATE_SIGNIFICANCE, Outcome, TableKind
from grasp_bench.cli import printing
from grasp_bench.cli.options import Form, Output, Results, ResultsPaths, RowDevice, RowModel
from grasp_bench.core.errors import UserError

EXIT_REGRESSION = EXIT_DISAGREEMENT = 1

results_app = typer.Typer(
    name="results", no_args_is_help=True, help="Look into, merge and check results."
)


def table(
    paths: ResultsPaths,
    form: Form = "rich",
    output: Output = None,
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
    """Make a table of results, with the paper's numbers beside them."""
    from grasp_bench.analysis.ablation import ablation_sheets
    from grasp_bench.analysis.aggregate import TABLE_COLUMNS, build_table, by_outcome, combine
    from grasp_bench.analysis.footnotes import FINAL_PLAN_NOTE
    from grasp_bench.analysis.pairwise import pairwise_sheets
    from grasp_bench.analysis.results_table import results_sheet
    from grasp_bench.analysis.times import times_sheet
    from grasp_bench.run.store import read_results

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
    if outcome == "final-plan":
        sheets[-1].notes.insert(0, FINAL_PLAN_NOTE)
    printing.show(sheets, form, output)


@results_app.command()
def show(path: Results, form: Form = "rich") -> None:
    """Show what results hold: trials, settings, versions, hardware."""
    from grasp_bench.analysis.contents import contents_sheets
    from grasp_bench.run.store import read_results

    printing.show(contents_sheets(read_results(path)), form)


@results_app.command()
def merge(
    paths: ResultsPaths,
    output: Annotated[Path, typer.Option("-o", "--output", help="Parquet file to write.")],
) -> None:
    """Put results of the same settings into one file, each trial once."""
    from grasp_bench.run.store import merge_results, write_frame

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
    model: RowModel = None,
    device: RowDevice = None,
) -> None:
    """Recompute a sample of trials from their rows; exits with 1 unless all agree."""
    from grasp_bench.run.store import read_results
    from grasp_bench.trial.replay_check import check_trials

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
    complete: Annotated[
        bool, typer.Option("--complete", help="Fail if NEW lacks trials that BASE has.")
    ] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write it here, for a pull request.")
    ] = None,
) -> None:
    """Hold a run against a stored one; exits with 1 if anything got significantly worse."""
    from grasp_bench.analysis.gate import compare as compare_runs
    from grasp_bench.analysis.gate import comparison_sheet, conclusion, markdown_comment
    from grasp_bench.run.store import read_results

    comparison = compare_runs(
        read_results(base), read_results(new), significance=significance, complete=complete
    )
    printing.show([comparison_sheet(comparison)], "rich")
    for sentence in [*(failure.text for failure in comparison.failures), conclusion(comparison)]:
        typer.echo(sentence)
    if markdown is not None:
        printing.write(markdown, markdown_comment(comparison))
    if comparison.regressed:
        raise typer.Exit(EXIT_REGRESSION)
