"""Turns results files into tables, figures, a report page and a gate; never imports torch."""

from __future__ import annotations

from typing import Literal

TableKind = Literal[
    "results",
    "planners",
    "times",
    "relative",
    "pairwise",
    "ablation",
    "effects",
    "criteria",
    "failures",
]
Outcome = Literal["first", "final-plan"]
Format = Literal["rich", "markdown", "latex", "html", "csv", "json"]

# The paper's four planners fit in with the published numbers beside them.
PLAIN_WIDTH = 200

# One in a hundred runs that change nothing raises a false alarm.
GATE_SIGNIFICANCE = 0.01
