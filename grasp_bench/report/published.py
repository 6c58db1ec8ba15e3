"""Numbers published elsewhere, with the protocol they were measured under."""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """One cell of a published table.

    Attributes:
        success: rate in [0, 1].
        median_seconds: median time to success, None where nothing succeeded.
    """

    success: float
    median_seconds: float | None


PAPER = "GRASP paper"
PAPER_PROTOCOL = (
    "GRASP paper: arXiv 2602.00475, 500 tasks a cell, world model DINO-WM, "
    "hyperparameters swept per horizon, the authors' hardware and tasks"
)

# By planner, then horizon.
PAPER_PUSHT: dict[str, dict[int, Published]] = {
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
