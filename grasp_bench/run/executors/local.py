"""Runs units of work in processes of this machine."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import torch

from grasp_bench.core.processes import worker_pool
from grasp_bench.core.types import Row
from grasp_bench.run.worker import Assignment, WorkUnit, run_unit


class WorkerDiedError(Exception):
    """A worker process ended by no doing of ours."""


class LocalProcesses:
    """Runs units in worker processes; always uses a process, so that timings are comparable.

    Closing the generator that `run` returns stops the work that is under way.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment

    def run(self, units: Iterable[WorkUnit]) -> Generator[list[Row], None, None]:
        """Yields the rows of each unit, in the order they finish.

        Raises:
            WorkerDiedError: a worker was killed, as by the system when memory runs out.
        """
        prepare = partial(torch.set_num_threads, self._assignment.protocol.threads)
        queue = iter(units)
        running: set[Future[list[Row]]] = set()
        try:
            with worker_pool(self._assignment.workers, prepare) as pool:
                while True:
                    # One unit ahead per worker keeps all busy, and leaves little to stop.
                    free = 2 * self._assignment.workers - len(running)
                    for unit in itertools.islice(queue, free):
                        running.add(pool.submit(run_unit, self._assignment, unit))
                    if not running:
                        return
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        yield future.result()
        except BrokenProcessPool as error:
            raise WorkerDiedError("a worker process died, perhaps for lack of memory") from error
