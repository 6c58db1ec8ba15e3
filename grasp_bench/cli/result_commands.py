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
            "times in passes of the reference workload, planners against each other, "
            "configurations of one, what another setting or model changes, every success "
            "criterion, or why final plans failed."
        ),
    ] = "results",
    outcome: Annotated[
        Outcome,
        typer.Option(help="Success at some check, or of the plan committed to at the end."),
    ] = "first",
    criterion: Annotated[
        str | None,
        typer.Option(
            help="What success is: a criterion of the environment, such as strict.",
            show_default="its first",
        ),
    ] = None,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Show 95% intervals and counts in the cells.")
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="PLANNER", help="Of --kind pairwise: this planner minus each other only."
        ),
    ] = None,
) -> None:
    """Make a table of results, with the paper's numbers beside them."""
    from grasp_bench.analysis.ablation import ablation_sheets
    from grasp_bench.analysis.aggregate import TABLE_COLUMNS, build_table, combine
    from grasp_bench.analysis.criteria import criteria_sheets
    from grasp_bench.analysis.effects import effects_sheet
    from grasp_bench.analysis.failure_kinds import FAILURE_COLUMNS, failure_sheets
    from grasp_bench.analysis.footnotes import FINAL_PLAN_NOTE
    from grasp_bench.analysis.judging import all_criteria, by_outcome
    from grasp_bench.analysis.pairwise import against_sheet, pairwise_sheets
    from grasp_bench.analysis.relative import relative_sheet
    from grasp_bench.analysis.results_table import results_sheet
    from grasp_bench.analysis.times import times_sheet
    from grasp_bench.core.registry import did_you_mean
    from grasp_bench.envs import get_environment
    from grasp_bench.run.store import read_results

    if against is not None and kind != "pairwise":
        raise UserError("--against belongs to --kind pairwise")
    columns = None if criterion or kind == "criteria" else (*TABLE_COLUMNS, *FAILURE_COLUMNS)
    runs = [read_results(path, columns) for path in paths]
    if kind != "effects":
        runs = [combine(runs, paths)]
    environment = str(runs[0]["environment"].iloc[0])
    criteria = {} if columns else all_criteria(get_environment(environment).criteria)
    if criterion is not None and criterion not in criteria:
        raise UserError(f"no criterion '{criterion}': {did_you_mean(criterion, criteria)}")
    if kind != "criteria":
        default = next(iter(criteria), "")
        runs = [by_outcome(run, outcome, criterion or "", default) for run in runs]
    trials = runs[0]
    if kind == "criteria":
        sheets = criteria_sheets(trials, criteria, outcome, intervals)
    elif kind == "failures":
        sheets = failure_sheets(trials)
    elif kind == "ablation":
        sheets = ablation_sheets(trials, intervals, outcome)
    elif kind == "effects":
        sheets = [effects_sheet(runs, outcome)]
    else:
        rows = build_table(trials, outcome, criterion or "")
        if kind == "pairwise":
            sheets = (
                [against_sheet(rows, trials, against)]
                if against is not None
                else pairwise_sheets(rows, trials)
            )
        elif kind == "times":
            sheets = [times_sheet(rows, trials, intervals)]
        elif kind == "relative":
            sheets = [relative_sheet(rows, trials)]
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
    from grasp_bench.run.joining import merge_results
    from grasp_bench.run.store import write_frame

    if output.exists():
        raise UserError(f"'{output}' is there already: pick another --output")
    trials = merge_results(paths)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_frame(output, trials)
    print(f"{output}: {len(trials)} trials")


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
        print(f"{trial.trial_key}: {'agrees' if trial.agrees else 'DIFFERS'}; {trial.plan}")
        for difference in trial.differences:
            print(f"  {difference}")
    print(f"{agreeing} of {checked} sampled trials agree ({agreeing / checked:.0%})")
    if agreeing < checked:
        raise typer.Exit(EXIT_DISAGREEMENT)


@results_app.command()
def verify(
    path: Results,
    tasks: Annotated[
        str | None,
        typer.Option(help="Name or path of the task set.", show_default="what the rows name"),
    ] = None,
) -> None:
    """Execute the stored plans again, without a model; exits with 1 unless all outcomes agree."""
    from rich.progress import track

    from grasp_bench.run.store import read_results
    from grasp_bench.trial.verify import stored_plans, verify_plan

    trials = read_results(path)
    plans = list(stored_plans(trials))
    if not plans:
        raise UserError(f"'{path}' holds no plans: it was converted from an older version")
    agreeing, largest = 0, 0.0
    for plan in track(plans, "executing", console=printing.console(), transient=True):
        found = verify_plan(plan, tasks)
        agreeing += not found.differs
        largest = max(largest, found.distance)
        if found.differs:
            print(f"{found.trial_key}: {found.plan}: other {', '.join(found.differs)}")
    print(
        f"{agreeing} of {len(plans)} plans of {len(trials)} trials lead where their rows say "
        f"({agreeing / len(plans):.1%}); distances within {largest:.1e}"
    )
    if agreeing < len(plans):
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
        print(sentence)
    if markdown is not None:
        printing.write(markdown, markdown_comment(comparison))
    if comparison.regressed:
        raise typer.Exit(EXIT_REGRESSION)
