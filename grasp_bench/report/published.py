"""Numbers published elsewhere, with the protocol they were measured under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Published(NamedTuple):
    """One cell of a published table.

    Attributes:
        success: rate in [0, 1].
        median_seconds: median time to success, None where nothing succeeded or none was given.
    """

    success: float
    median_seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """Where numbers were published, and what they mean there.

    Attributes:
        name: heads its columns.
        protocol: under which they were measured.
        cells: by planner, then horizon.
    """

    name: str
    protocol: str
    cells: Mapping[str, Mapping[int, Published]]


_PAPER_PUSHT = {
    "cem": {
        40: Published(0.614, 35.3),
        50: Published(0.302, 96.2),
        60: Published(0.072, 83.1),
        70: Published(0.078, 156.1),
        80: Published(0.028, 132.2),
    },
    "gd": {
        40: Published(0.510, 18.0),
        50: Published(0.376, 76.3),
        60: Published(0.164, 146.5),
        70: Published(0.120, 103.1),
        80: Published(0.064, 161.3),
    },
    "latco": {
        40: Published(0.150, 598.0),
        50: Published(0.042, 1114.7),
        60: Published(0.020, 231.5),
        70: Published(0.0, None),
        80: Published(0.0, None),
    },
    "grasp": {
        40: Published(0.590, 8.5),
        50: Published(0.434, 15.2),
        60: Published(0.262, 49.1),
        70: Published(0.160, 79.9),
        80: Published(0.104, 58.9),
    },
}

PAPER = Source(
    "paper",
    "GRASP paper: arXiv 2602.00475, 500 tasks a cell, world model DINO-WM, "
    "hyperparameters swept per horizon, the authors' hardware and tasks",
    _PAPER_PUSHT,
)
CLEAR_LEWM = Source(
    "CLEAR-LeWM",
    "CLEAR-LeWM v0.5: first hit of 3 x 100 tasks whose goal is 25 steps ahead, world model LeWM, "
    "CEM of 300 samples and 30 iterations that replans within 50 steps",
    {"cem": {25: Published(0.863)}, "random": {25: Published(0.040)}},
)
SOURCES = (PAPER, CLEAR_LEWM)
