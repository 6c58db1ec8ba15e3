"""Declares the commands that list planners, and check one against the protocol."""

from __future__ import annotations

from typing import Annotated

import typer

from grasp_bench.cli.options import PLANNER_HELP, Overrides
from grasp_bench.cli.printing import console, show_list
from grasp_bench.run.config import parse_overrides

MARKS = {True: "[green]✓[/]", False: "[red]✗[/]", None: "-"}
EXIT_BROKEN = 1


def planners() -> None:
    """List the planners with their hyperparameters and defaults."""
    from grasp_bench.planners import PLANNERS, hyperparameters, make_planner

    rows = []
    for name in PLANNERS.names():
        planner = make_planner(name)
        config = "\n".join(f"{key}={value}" for key, value in hyperparameters(planner).items())
        rows.append((name, (type(planner).__doc__ or "").split("\n")[0], config))
    show_list(["planner", "what it does", "hyperparameters"], rows)


def check_planner(
    name: Annotated[str, typer.Argument(help=PLANNER_HELP)],
    overrides: Overrides = None,
) -> None:
    """Check that a planner keeps the protocol's promises; exit code 1 if it does not.

    A line per check: its contract, shapes, costs, batching, determinism, side effects and
    whether it finds the known optimum of a linear model.
    """
    from rich.markup import escape

    from grasp_bench.trial.planner_check import check_planner

    broken = 0
    for finding in check_planner(name, parse_overrides(overrides or [])):
        mark = MARKS[finding.passed]
        console().print(f"{mark} {finding.check:<14} {escape(finding.detail)}", highlight=False)
        broken += finding.passed is False
    if broken:
        raise typer.Exit(EXIT_BROKEN)
