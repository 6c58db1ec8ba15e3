"""Says how far a run is, while another process runs it or afterwards."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from grasp_bench.core.errors import UserError, error_summary
from grasp_bench.core.files import write_atomically
from grasp_bench.core.json_files import read_json, typed
from grasp_bench.run.store import read_results

PROGRESS_FILE = "progress.json"
_COLUMNS = (
    "trial_key", "status", "error", "planner_label", "horizon", "success", "started_at",
    "wall_seconds",
)  # fmt: skip
_RATE_OVER = 200  # trials


@dataclass(frozen=True)
class Asked:
    """What the process that runs a folder was asked for.

    Attributes:
        trials: in all.
        executor: where they run.
        workers: beside each other.
        host, process: of the one that runs them.
        begun: when it began, ISO 8601.
    """

    trials: int
    executor: str
    workers: int
    host: str
    process: int
    begun: str


def write_asked(folder: Path, trials: int, executor: str, workers: int) -> None:
    """Notes down in a run folder what this process was asked for."""
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    asked = Asked(trials, executor, workers, socket.gethostname(), os.getpid(), begun)
    write_atomically(folder / PROGRESS_FILE, (json.dumps(asdict(asked)) + "\n").encode())


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        asked: None for a folder of an earlier version, or of a single file.
        trials: that are stored, one row each.
        per_minute: of the last trials, None for fewer than two.
        minutes_left: at that rate, None where it is not known.
    """

    asked: Asked | None
    trials: pd.DataFrame
    per_minute: float | None
    minutes_left: float | None

    def lines(self) -> list[str]:
        """Returns what there is to say, a sentence a line."""
        count, failed = len(self.trials), self.trials[self.trials["status"] != "ok"]
        asked = self.asked
        of = f" of {asked.trials}" if asked else ""
        lines = [f"{count}{of} trials are stored, {len(failed)} of them ended in an error"]
        if asked:
            lines.append(
                f"{asked.workers} worker(s) of the executor {asked.executor}, begun {asked.begun} "
                f"by process {asked.process} on {asked.host}"
            )
        if self.per_minute is not None:
            left = "" if self.minutes_left is None else f", about {self.minutes_left:.0f} min left"
            lines.append(f"{self.per_minute:.1f} trials a minute lately{left}")
        last = self.trials.sort_values("started_at").iloc[-1]
        lines.append(f"last begun: {last['trial_key']}, {last['started_at']:%Y-%m-%d %H:%M:%S} UTC")
        for label, own in failed.groupby("planner_label", observed=True):
            lines.append(
                f"{label}: {len(own)} error(s), such as {error_summary(own['error'].iloc[0])}"
            )
        return lines


def read_status(folder: Path) -> Status:
    """Reads how far the run of a folder is.

    Raises:
        UserError: it holds no results yet, or what it holds is damaged.
    """
    asked = _read_asked(folder / PROGRESS_FILE)
    try:
        trials = read_results(folder, _COLUMNS)
    except UserError as error:
        if asked is None or not folder.is_dir() or list(folder.rglob("*.parquet")):
            raise
        raise UserError(
            f"no trial of {asked.trials} has finished in '{folder}' yet: process {asked.process} "
            f"on {asked.host} began at {asked.begun}"
        ) from error
    per_minute = _per_minute(trials)
    left = None
    if asked is not None and per_minute:
        left = max(0, asked.trials - len(trials)) / per_minute
    return Status(asked, trials, per_minute, left)


def _read_asked(path: Path) -> Asked | None:
    try:
        content, _ = read_json(path)
        return typed(Asked, content, PROGRESS_FILE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' cannot be read: {error}") from error


def _per_minute(trials: pd.DataFrame) -> float | None:
    """Returns the rate of the last trials, between their starts."""
    starts = trials["started_at"].sort_values().iloc[-_RATE_OVER:]
    seconds = (starts.iloc[-1] - starts.iloc[0]).total_seconds()
    return 60 * (len(starts) - 1) / seconds if seconds > 0 else None
