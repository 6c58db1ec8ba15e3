"""The commands about planners: what there is, and whether one keeps the protocol's promises."""

from __future__ import annotations

from typing import Annotated

import typer

from grasp_bench.report import console
from grasp_bench.request import parse_overrides

MARKS = {True: "[green]✓[/]", False: "[red]✗[/]", None: "-"}
EXIT_BROKEN = 1


def planners() -> None:
    """The planners there are, with their hyperparameters and defaults."""
    from rich.markup import escape
    from rich.table import Table

    from grasp_bench.planners import PLANNERS, make_planner, planner_config

    listing = Table("planner", "what it does", "hyperparameters")
    for name in PLANNERS.names():
        planner = make_planner(name, {})
        config = "\n".join(f"{key}={value}" for key, value in planner_config(planner).items())
        summary = (type(planner).__doc__ or "").split("\n")[0]
        listing.add_row(escape(name), escape(summary), escape(config))
    console().print(listing)


def check_planner(
    name: Annotated[str, typer.Argument(help="See `grasp-bench planners`.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A hyperparameter; repeatable."),
    ] = None,
) -> None:
    """Check that a planner keeps the protocol's promises; exit code 1 if it does not.

    A line per check: its contract, shapes, costs, batching, determinism, side effects and
    whether it finds the known optimum of a linear model.
    """
    from rich.markup import escape

    from grasp_bench.planner_check import check_planner

    broken = 0
    for finding in check_planner(name, parse_overrides(overrides or [])):
        mark = MARKS[finding.passed]
        console().print(f"{mark} {finding.check:<14} {escape(finding.detail)}", highlight=False)
        broken += finding.passed is False
    if broken:
        raise typer.Exit(EXIT_BROKEN)
