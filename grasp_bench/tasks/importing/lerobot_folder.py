"""Knows LeRobot's folder of Push-T, from which no task can be cut."""

from __future__ import annotations

from pathlib import Path

from grasp_bench.core.errors import UserError
from grasp_bench.tasks.importing.recording import Recording


def fits(path: Path) -> bool:
    """Tells whether a folder is a LeRobot data set."""
    return (path / "meta" / "info.json").is_file()


def read(path: Path) -> Recording:
    """Says why no task can be cut.

    Raises:
        UserError: always.
    """
    raise UserError(
        f"no task can be cut from '{path}': LeRobot's Push-T holds the agent's position and its "
        "actions, but not the block's pose; the same demonstrations with it: "
        "'grasp-bench data fetch pusht-human'"
    )
