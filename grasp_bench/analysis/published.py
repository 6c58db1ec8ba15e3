"""Holds numbers published elsewhere, with the protocol they were measured under."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Published(NamedTuple):
    """Holds one cell of a published table.

    Attributes:
        success: rate in [0, 1].
        median_seconds: median time to success, None where nothing succeeded or none was given.
    """

    success: float
    median_seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """Says where numbers were published, and what they mean there.

    Attributes:
        name: heads its columns.
        environment: id of the environment they were measured in.
        protocol: under which they were measured.
        cells: by planner, then horizon.
    """

    name: str
    environment: str
    protocol: str
    cells: Mapping[str, Mapping[int, Published]]


PUSHT = "pusht"

# Success rate and median seconds in the paper's table of Push-T, by planner and horizon.
_PAPER_PUSHT: dict[str, dict[int, tuple[float, float | None]]] = {
    "cem": {
        40: (0.614, 35.3), 50: (0.302, 96.2), 60: (0.072, 83.1), 70: (0.078, 156.1),
        80: (0.028, 132.2),
    },
    "gd": {
        40: (0.510, 18.0), 50: (0.376, 76.3), 60: (0.164, 146.5), 70: (0.120, 103.1),
        80: (0.064, 161.3),
    },
    "latco": {
        40: (0.150, 598.0), 50: (0.042, 1114.7), 60: (0.020, 231.5), 70: (0.0, None),
        80: (0.0, None),
    },
    "grasp": {
        40: (0.590, 8.5), 50: (0.434, 15.2), 60: (0.262, 49.1), 70: (0.160, 79.9),
        80: (0.104, 58.9),
    },
}  # fmt: skip

PAPER = Source(
    "paper",
    PUSHT,
    "GRASP paper: arXiv 2602.00475, 500 tasks a cell, world model DINO-WM, "
    "hyperparameters swept per horizon, the authors' hardware and tasks",
    {
        planner: {horizon: Published(*cell) for horizon, cell in cells.items()}
        for planner, cells in _PAPER_PUSHT.items()
    },
)
CLEAR_LEWM = Source(
    "CLEAR-LeWM",
    PUSHT,
    "CLEAR-LeWM v0.5: first hit of 3 x 100 tasks whose goal is 25 steps ahead, world model LeWM, "
    "CEM of 300 samples and 30 iterations that replans within 50 steps",
    {"cem": {25: Published(0.863)}, "random": {25: Published(0.040)}},
)
SOURCES = (PAPER, CLEAR_LEWM)


def published_numbers(
    environment: str, planner: str, horizons: Sequence[int]
) -> dict[Source, dict[int, Published]]:
    """Returns a planner's published numbers at these horizons, by source and horizon."""
    found = {
        source: {h: cell for h, cell in source.cells.get(planner, {}).items() if h in horizons}
        for source in SOURCES
        if source.environment == environment
    }
    return {source: cells for source, cells in found.items() if cells}
