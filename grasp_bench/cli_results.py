"""The commands that read results: tables, and a run held against another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grasp_bench.report import GATE_SIGNIFICANCE, SLOWDOWN, Format, console

EXIT_REGRESSION = 1

Results = Annotated[Path, typer.Argument(help="Results file or run folder.")]


def table(
    paths: Annotated[list[Path], typer.Argument(help="Results files or run folders.")],
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = "rich",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write it here.")] = None,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Show 95% intervals and counts in the cells.")
    ] = False,
) -> None:
    """The paper's table from results, with the paper's numbers beside."""
    from grasp_bench.report.rows import build_table, combine
    from grasp_bench.report.table import results_sheet
    from grasp_bench.report.writers import render, rich_sheets
    from grasp_bench.results import read_results

    trials = combine([read_results(path) for path in paths])
    sheets = [results_sheet(build_table(trials), intervals)]
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(render(sheets, form), encoding="utf-8")
        typer.echo(output)
    elif form == "rich":
        console().print(rich_sheets(sheets))
    else:
        typer.echo(render(sheets, form), nl=False)


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
    from grasp_bench.report.writers import rich_sheets
    from grasp_bench.results import read_results

    comparison = compare_runs(
        read_results(base),
        read_results(new),
        significance=significance,
        slowdown=slowdown,
        complete=complete,
    )
    console().print(rich_sheets([comparison_sheet(comparison)]))
    for sentence in [*sentences(comparison), conclusion(comparison)]:
        typer.echo(sentence)
    if markdown is not None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        markdown.write_text(markdown_comment(comparison), encoding="utf-8")
    if comparison.regressed:
        raise typer.Exit(EXIT_REGRESSION)
