"""Runs units of work somewhere in a cluster; importing it costs no torch."""

from __future__ import annotations

import os
import pickle
from collections import deque
from typing import Any

from grasp_bench.core.errors import UserError
from grasp_bench.run.executors import Failure, ResourceLimits, WorkersEndedError
from grasp_bench.run.executors.supervised import Processes


class Actor:
    """Has a process of its own run units, which may hang, leak and kill it.

    So a planner meets the same limits as on one machine, and the actor outlives it. What it
    passes on stays pickled: only its process needs torch.

    Args:
        work: pickled, makes the rows of a unit.
        threads: of torch.
        limits: of a unit.
        folder: where the command was given, which paths may be relative to.
    """

    def __init__(self, work: bytes, threads: int, limits: ResourceLimits, folder: str) -> None:
        os.chdir(folder)
        self._units: deque[bytes] = deque()
        processes = Processes(_Pickled(work), 1, threads, limits)
        self._results = processes.run(iter(self._units.popleft, None))

    def ready(self) -> bool:
        """Tells that it has been placed."""
        return True

    def run(self, unit: bytes) -> Any:
        """Returns the rows of a pickled unit, why it was given up, or why none can be run."""
        self._units.append(unit)
        try:
            result = next(self._results)
        except (UserError, WorkersEndedError) as error:
            return error
        return result.reason if isinstance(result, Failure) else result


class _Pickled:
    """Calls a pickled function with pickled arguments; unpickles it when it is first called."""

    def __init__(self, work: bytes) -> None:
        self._work = work
        self._loaded: Any = None

    def __call__(self, unit: bytes) -> Any:
        self._loaded = self._loaded or pickle.loads(self._work)
        return self._loaded(pickle.loads(unit))
