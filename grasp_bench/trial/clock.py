"""Meters a trial: the clock runs while the planner plans, and at no other time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from grasp_bench.core.types import Candidate


class Clock:
    """Meters planner seconds: all of a planner's work happens inside `next_candidate`.

    The device's queue is drained at both ends of each measurement.

    Attributes:
        seconds: planner seconds used so far.
    """

    def __init__(self, device: str, now: Callable[[], float] = time.perf_counter) -> None:
        self.seconds = 0.0
        self._device = device
        self._now = now

    @property
    def elapsed(self) -> float:
        """Planner time used so far, in the clock's unit."""
        return self.seconds

    def next_candidate(self, candidates: Iterator[Candidate]) -> Candidate | None:
        """Returns the planner's next candidate, None when it has ended; adds to `seconds`."""
        synchronise(self._device)
        begin = self._now()
        candidate = next(candidates, None)
        synchronise(self._device)
        self.seconds += self._now() - begin
        return candidate


class IterationClock(Clock):
    """Counts candidates, so that a run is deterministic; seconds are metered beside."""

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        self._candidates = 0

    @property
    def elapsed(self) -> float:
        """Candidates."""
        return self._candidates

    def next_candidate(self, candidates: Iterator[Candidate]) -> Candidate | None:
        """Returns the planner's next candidate; each advances `elapsed` by one."""
        candidate = super().next_candidate(candidates)
        if candidate is not None:
            self._candidates += 1
        return candidate


def synchronise(device: str) -> None:
    """Waits until everything queued on the device is done."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class CheckGrid:
    """Planner times at which a planner shows its best plan: first, first x ratio, ...

    Geometric, so that a trial costs few executions and a time to success is known to
    the same relative precision everywhere; the same for every planner.
    """

    first: float
    ratio: float

    def next_after(self, elapsed: float) -> float:
        """Returns the earliest grid time later than `elapsed`."""
        time_of_check = self.first
        while time_of_check <= elapsed:
            time_of_check *= self.ratio
        return time_of_check
