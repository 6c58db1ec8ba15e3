"""Says how far a run is, while another process runs it or afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from grasp_bench.core.errors import error_summary
from grasp_bench.run.presence import Sweeping, read_sweeps
from grasp_bench.run.store import read_results

_COLUMNS = (
    "trial_key", "status", "error", "planner_label", "horizon", "success", "started_at",
    "wall_seconds",
)  # fmt: skip
_RATE_OVER = 200  # trials


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        sweeps: that work in the folder or have, the last to begin at the end; none for a file.
        trials: that are stored, one row each.
        per_minute: of the last trials, None for fewer than two.
        minutes_left: at that rate, None where it is not known.
    """

    sweeps: Sequence[Sweeping]
    trials: pd.DataFrame
    per_minute: float | None
    minutes_left: float | None

    def lines(self) -> list[str]:
        """Returns what there is to say, a sentence a line."""
        count, failed = len(self.trials), self.trials[self.trials["status"] != "ok"]
        of = f" of {_asked_for(self.sweeps)}" if self.sweeps else ""
        lines = [f"{count}{of} trials are stored, {len(failed)} of them ended in an error"]
        if self.per_minute is not None:
            left = "" if self.minutes_left is None else f", about {self.minutes_left:.0f} min left"
            lines.append(f"{self.per_minute:.1f} trials a minute lately{left}")
        stored = set(self.trials["trial_key"])
        lines += [sweep.described(stored) for sweep in self.sweeps]
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
    trials = read_results(folder, _COLUMNS)
    sweeps = read_sweeps(folder)
    per_minute = _per_minute(trials)
    left = None
    if per_minute and any(sweep.at_work for sweep in sweeps):
        left = max(0, _asked_for(sweeps) - len(trials)) / per_minute
    return Status(sweeps, trials, per_minute, left)


def _asked_for(sweeps: Sequence[Sweeping]) -> int:
    return max(sweep.asked.trials for sweep in sweeps)


def _per_minute(trials: pd.DataFrame) -> float | None:
    """Returns the rate of the last trials, between their starts."""
    starts = trials["started_at"].sort_values().iloc[-_RATE_OVER:]
    seconds = (starts.iloc[-1] - starts.iloc[0]).total_seconds()
    return 60 * (len(starts) - 1) / seconds if seconds > 0 else None
