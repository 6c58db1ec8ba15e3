"""Has processes of this machine do pieces of work, which may hang, leak and kill them.

Importing it costs no torch: what only supervises takes little memory.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from grasp_bench.core.errors import UserError, describe
from grasp_bench.core.processes import end_with_parent, interrupts_held_back
from grasp_bench.run.executors import Failure, ResourceLimits, WorkersEndedError

_LOOK_EVERY = 0.5  # seconds between two looks at clock and memory
_START_WITHIN = 600.0  # seconds, on a machine however busy
_MOST_BROKEN = 3  # processes one after another that end as they begin
_MIB = 2**20


class Processes:
    """Has processes do pieces of work, which may hang, leak and kill them.

    A process that dies is replaced and its piece tried again, up to the limit of attempts. One
    whose piece takes too long or too much memory is killed, with its children, and replaced.

    Args:
        work: makes the result of a piece, as rows are that of a unit; it must pickle.
        count: processes beside each other.
        threads: of torch in each.
        limits: of a piece.
    """

    def __init__(
        self, work: Callable[[Any], Any], count: int, threads: int, limits: ResourceLimits
    ) -> None:
        self._work, self._count, self._threads = work, count, threads
        self._limits = limits

    def run(self, units: Iterable[Any]) -> Generator[Any | Failure, None, None]:
        """Yields the result of each piece as it finishes, or why it was given up.

        Raises:
            UserError: the work raised it.
            WorkersEndedError: a process died before it could begin.
        """
        queue = _Queue(units)
        workers = [_Worker(self._work, self._threads) for _ in range(self._count)]
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

    def _look_at(self, worker: _Worker, queue: _Queue) -> Iterator[Any | Failure]:
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
            cause, ready, broken = worker.end(), worker.ready, worker.broken + 1
            if not ready and broken == _MOST_BROKEN:
                raise WorkersEndedError(f"a worker process {cause} as it began") from None
            worker.start(0 if ready else broken)
            if not ready:
                queue.put_back(unit)
            elif not queue.once_more(unit, self._limits.attempts):
                yield Failure(unit, f"its worker process {cause}, {self._limits.attempts} times")
            return
        if reason := self._too_much(worker):
            worker.end()
            worker.start()
            yield Failure(unit, reason)

    def _too_much(self, worker: _Worker) -> str:
        """Says what a worker's unit takes more of than it may, nothing otherwise."""
        seconds, mebibytes = self._limits.seconds, self._limits.mebibytes
        taken = time.monotonic() - worker.begun
        if not worker.ready:
            late = f"its worker process had not begun after {_START_WITHIN:g} seconds"
            return late if taken > _START_WITHIN else ""
        if seconds is not None and taken > seconds:
            return f"it had no end after {seconds:g} seconds (--trial-timeout)"
        if mebibytes is not None and worker.memory() > mebibytes * _MIB:
            return f"it took more than {mebibytes} MiB of memory (--trial-memory)"
        return ""


class _Queue:
    """Hands out units, those that crashed a worker first."""

    def __init__(self, units: Iterable[Any]) -> None:
        self._units = iter(units)
        self._again: deque[Any] = deque()
        self._crashes: dict[Any, int] = {}

    def next(self) -> Any | None:
        """Returns the next unit, None if there are no more."""
        return self._again.popleft() if self._again else next(self._units, None)

    def once_more(self, unit: Any, attempts: int) -> bool:
        """Counts a crash; tells whether the unit is tried again."""
        self._crashes[unit] = self._crashes.get(unit, 0) + 1
        if self._crashes[unit] >= attempts:
            return False
        self.put_back(unit)
        return True

    def put_back(self, unit: Any) -> None:
        """Takes a unit back that nobody has begun, or that is to be tried again."""
        self._again.append(unit)


class _Worker:
    """A process and the way to it.

    Attributes:
        connection: where its results come.
        unit: it works on, None if it waits.
        begun: when it was given the unit, or had started up after that.
        ready: it has started up.
        broken: processes before it, one after another, that ended before they had.
    """

    def __init__(self, work: Callable[[Any], Any], threads: int) -> None:
        self._arguments = work, threads
        self.start()

    def start(self, broken: int = 0) -> None:
        """Starts a process, in the place of one that has ended."""
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        # We alone hold the writing end: it closes when we stop, and when we are killed.
        lifeline, self._lifeline = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_serve, args=(theirs, lifeline, *self._arguments), daemon=False
        )
        with interrupts_held_back():
            self._process.start()
        theirs.close()
        lifeline.close()
        self.unit: Any | None = None
        self.ready, self.broken, self.begun = False, broken, time.monotonic()

    def begin(self, unit: Any) -> None:
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
            with suppress(psutil.Error):
                process.kill()
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
        except psutil.Error:
            return []
        return [*_children(process.pid), process]


_READY = "ready"


def _serve(
    connection: Connection, lifeline: Connection, work: Callable[[Any], Any], threads: int
) -> None:
    """Works in a process until there is no more, or its parent is gone."""
    end_with_parent(lifeline)
    import torch

    from grasp_bench.trial.promises import forks

    process = os.getpid()
    torch.set_num_threads(threads)
    connection.send(_READY)
    while True:
        try:
            unit = connection.recv()
        except (EOFError, OSError):  # there are no more, or nobody is left who wants them
            return
        result: Any
        forked = forks()
        try:
            result = work(unit)
        except UserError as error:  # it stops the sweep: a planner's own are rows
            result = error
        except Exception as error:
            result = UserError(f"a worker process raised {describe(error)}")
        finally:
            if os.getpid() != process:  # a copy that a planner or a model has made of it
                os._exit(1)
        if forks() != forked:
            for child in _children(process):
                with suppress(psutil.Error):
                    child.kill()
        with suppress(OSError):
            connection.send(result)


def _children(process: int) -> list[psutil.Process]:
    """Returns the processes that one has started, directly or not; none if it has ended."""
    try:
        return list(psutil.Process(process).children(recursive=True))
    except psutil.Error:
        return []
