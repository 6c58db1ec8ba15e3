"""Timing on a machine that others use too: short stretches in turns, and their median."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch

from grasp_bench.clock import synchronise
from grasp_bench.speed.rows import Timing

STRETCH_SECONDS = 0.1
# Not timed: what ran before has taken the caches, as it never does while a planner plans.
WARM_UP_SECONDS = 0.03


class Stopwatch:
    """Seconds of this process.

    On one CPU thread those are the processor's: what other processes take does not count.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        alone = device == "cpu" and torch.get_num_threads() == 1
        self._now = time.process_time if alone else time.perf_counter

    def read(self) -> float:
        """Seconds since some moment, the device's queue drained."""
        synchronise(self._device)
        return self._now()


def time_in_turns(
    work: Mapping[str, Callable[[], float]], repeats: int, device: str
) -> dict[str, Timing]:
    """Time several kinds of work, a stretch of each in every round.

    Args:
        work: by name; a call does some and returns how many units that was.
        repeats: rounds.
        device: torch device that the work is done on.
    """
    watch = Stopwatch(device)
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for do in work.values():
        do()  # first calls allocate and compile
    for _ in range(repeats):
        for name, do in work.items():
            _stretch(do, WARM_UP_SECONDS, watch)
            seconds[name].append(_stretch(do, STRETCH_SECONDS, watch))
    return {
        name: Timing(*map(float, np.quantile(values, [0.5, 0.25, 0.75])))
        for name, values in seconds.items()
    }


def _stretch(do: Callable[[], float], least: float, watch: Stopwatch) -> float:
    """Seconds per unit of work that is done for at least so long."""
    begin, units = watch.read(), 0.0
    while (elapsed := watch.read() - begin) < least or not units:
        units += do()
    return elapsed / units
