"""Runs units of work in processes of this machine, which may hang, leak and die."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from grasp_bench.core.errors import UserError, describe
from grasp_bench.core.processes import end_with_parent, interrupts_held_back
from grasp_bench.core.types import Row
from grasp_bench.run.executors import Failure, ResourceLimits, WorkersEndedError
from grasp_bench.run.worker import Assignment, WorkUnit

_LOOK_EVERY = 0.5  # seconds between two looks at clock and memory
_MIB = 2**20


class LocalProcesses:
    """Runs units in worker processes; always uses a process, so that timings are comparable.

    A worker that dies is replaced and its unit tried again, up to the limit of attempts. One
    whose unit takes too long or too much memory is killed, with its children, and replaced.
    """

    def __init__(self, assignment: Assignment, limits: ResourceLimits | None = None) -> None:
        self._assignment = assignment
        self._limits = limits or ResourceLimits()

    def run(self, units: Iterable[WorkUnit]) -> Generator[list[Row] | Failure, None, None]:
        """Yields the rows of each unit, in the order they finish; see `Executor.run`."""
        queue = _Queue(units)
        workers = [_Worker(self._assignment) for _ in range(self._assignment.workers)]
        try:
            while True:
                for worker in workers:
                    if worker.unit is None and (unit := queue.next()) is not None:
                        worker.begin(unit)
                busy = [worker for worker in workers if worker.unit is not None]
                if not busy:
                    return
                wait([worker.connection for worker in busy], timeout=_LOOK_EVERY)
                for worker in busy:
                    yield from self._look_at(worker, queue)
        finally:
            for worker in workers:
                worker.end()

    def _look_at(self, worker: _Worker, queue: _Queue) -> Iterator[list[Row] | Failure]:
        """Takes what a busy worker has finished, and sees to it if it has died or goes too far."""
        unit = worker.unit
        assert unit is not None
        try:
            if worker.connection.poll():
                result = worker.connection.recv()
                if result == _READY:
                    worker.ready, worker.begun = True, time.monotonic()
                    return
                worker.unit = None
                if isinstance(result, UserError):
                    raise result
                yield result
                return
        except (EOFError, OSError):
            cause = worker.end()
            if not worker.ready:
                raise WorkersEndedError(f"a worker process {cause} as it began") from None
            worker.start()
            if not queue.once_more(unit, self._limits.attempts):
                yield Failure(unit, f"its worker process {cause}, {self._limits.attempts} times")
            return
        if reason := self._too_much(worker):
            worker.end()
            worker.start()
            yield Failure(unit, reason)

    def _too_much(self, worker: _Worker) -> str:
        """Says what a worker's unit takes more of than it may, nothing otherwise."""
        seconds, mebibytes = self._limits.seconds, self._limits.mebibytes
        if seconds is not None and time.monotonic() - worker.begun > seconds:
            return f"it had no end after {seconds:g} seconds (--trial-timeout)"
        if mebibytes is not None and worker.memory() > mebibytes * _MIB:
            return f"it took more than {mebibytes} MiB of memory (--trial-memory)"
        return ""


class _Queue:
    """Hands out units, those that crashed a worker first."""

    def __init__(self, units: Iterable[WorkUnit]) -> None:
        self._units = iter(units)
        self._again: deque[WorkUnit] = deque()
        self._crashes: dict[WorkUnit, int] = {}

    def next(self) -> WorkUnit | None:
        """Returns the next unit, None if there are no more."""
        return self._again.popleft() if self._again else next(self._units, None)

    def once_more(self, unit: WorkUnit, attempts: int) -> bool:
        """Counts a crash; tells whether the unit is tried again."""
        self._crashes[unit] = self._crashes.get(unit, 0) + 1
        if self._crashes[unit] >= attempts:
            return False
        self._again.append(unit)
        return True


class _Worker:
    """A process and the way to it.

    Attributes:
        connection: where its results come.
        unit: it works on, None if it waits.
        begun: when it was given the unit, or had started up after that.
        ready: it has started up.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self.start()

    def start(self) -> None:
        """Starts a process, in the place of one that has ended."""
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        # We alone hold the writing end: it closes when we stop, and when we are killed.
        lifeline, self._lifeline = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_serve, args=(theirs, lifeline, self._assignment), daemon=False
        )
        with interrupts_held_back():
            self._process.start()
        theirs.close()
        lifeline.close()
        self.unit: WorkUnit | None = None
        self.ready, self.begun = False, time.monotonic()

    def begin(self, unit: WorkUnit) -> None:
        """Gives the process a unit."""
        self.unit, self.begun = unit, time.monotonic()
        with suppress(OSError):  # it has died, which is seen when its result is asked for
            self.connection.send(unit)

    def memory(self) -> int:
        """Returns the bytes that the process and its children hold."""
        held = 0
        for process in self._family():
            try:
                held += process.memory_info().rss
            except psutil.Error:
                continue  # it has just ended
        return held

    def end(self) -> str:
        """Ends the process and its children, whatever they are at; says how it had ended."""
        self._process.join(timeout=0.2 if self.unit is not None else 0.0)
        code = self._process.exitcode
        for process in self._family():
            try:
                process.kill()
            except psutil.Error:
                continue
        self._lifeline.close()
        self.connection.close()
        self._process.join()
        if code is None or code >= 0:
            return f"ended with code {code}" if code is not None else "broke off"
        try:
            return f"died of {signal.Signals(-code).name}"
        except ValueError:
            return f"died of signal {-code}"

    def _family(self) -> list[psutil.Process]:
        """Returns the process and its children, none if it has ended."""
        try:
            process = psutil.Process(self._process.pid)
            return [*process.children(recursive=True), process]
        except psutil.Error:
            return []


_READY = "ready"


def _serve(connection: Connection, lifeline: Connection, assignment: Assignment) -> None:
    """Runs units in a process until there are no more, or its parent is gone."""
    end_with_parent(lifeline)
    import torch

    from grasp_bench.run.worker import run_unit

    torch.set_num_threads(assignment.protocol.threads)
    connection.send(_READY)
    while True:
        try:
            unit = connection.recv()
        except (EOFError, OSError):  # there are no more, or nobody is left who wants them
            return
        result: Any
        try:
            result = run_unit(assignment, unit)
        except UserError as error:  # it stops the sweep: a planner's own are rows
            result = error
        except Exception as error:
            result = UserError(f"a worker process raised {describe(error)}")
        with suppress(OSError):
            connection.send(result)
