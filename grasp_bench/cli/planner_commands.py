"""Declares the commands that list planners, and check one against the protocol."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from grasp_bench.cli.options import PLANNER_HELP, Overrides
from grasp_bench.cli.printing import console, show_list
from grasp_bench.core.errors import UserError, one_line
from grasp_bench.run.config import parse_overrides

MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("-", "")}
EXIT_BROKEN = 1


def planners() -> None:
    """List the planners with their hyperparameters and defaults."""
    from grasp_bench.core.plugins import foreign_code
    from grasp_bench.planners import PLANNERS, hyperparameters, make_planner, planner_spec

    rows, broken = [], []
    for name in PLANNERS.names():
        try:
            planner_spec(name, {})  # raises what a sweep would
            with foreign_code(f"planner '{name}' cannot be listed"):
                planner = make_planner(name)
                values = [f"{key}={value}" for key, value in hyperparameters(planner).items()]
                summary, *_ = str(type(planner).__doc__ or "").split("\n")
                rows.append((name, one_line(summary), "\n".join(map(one_line, values))))
        except UserError as error:
            broken.append(one_line(str(error)))
    show_list(["planner", "what it does", "hyperparameters"], rows)
    for sentence in broken:
        print(f"grasp-bench: {sentence}", file=sys.stderr)


def check_planner(
    name: Annotated[str, typer.Argument(help=PLANNER_HELP)],
    overrides: Overrides = None,
) -> None:
    """Check that a planner keeps the protocol's promises; exit code 1 if it does not.

    A line per check: its contract, shapes, costs, batching, determinism, side effects and
    whether it finds the known optimum of a linear model.
    """
    from rich.text import Text

    from grasp_bench.trial.planner_check import check_planner

    broken = 0
    for finding in check_planner(name, parse_overrides(overrides or [])):
        console().print(
            Text.assemble(MARKS[finding.passed], f" {finding.check:<14} {one_line(finding.detail)}")
        )
        broken += finding.passed is False
    if broken:
        raise typer.Exit(EXIT_BROKEN)
