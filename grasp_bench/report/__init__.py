"""Tables and figures from results files. Reads parquet alone and never imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

TableKind = Literal["results", "planners", "times", "pairwise", "ablation"]
Outcome = Literal["first", "blind"]
Format = Literal["rich", "markdown", "latex", "html", "csv", "json"]

# Wide enough for the paper's four planners with the published numbers beside them.
PLAIN_WIDTH = 200

# One false alarm in a hundred runs that change nothing: a gate that cries wolf is switched off.
GATE_SIGNIFICANCE = 0.01
# A machine six times as slow under load gave 0.8 to 1.2 times the normalised seconds.
SLOWDOWN = 1.5


def console() -> Console:
    """Where tables are printed: elsewhere than on a terminal nothing is gained by wrapping."""
    from rich.console import Console

    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=PLAIN_WIDTH)
