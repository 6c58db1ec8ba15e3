"""Where units of work run. Local processes; anything else with the same protocol fits."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Protocol

import torch

from grasp_bench.columns import Row
from grasp_bench.worker import Assignment, WorkUnit, run_unit


class WorkerDiedError(Exception):
    """A worker process ended by no doing of ours."""


class Executor(Protocol):
    """Runs units, each in whatever process, and yields the rows of each as it finishes.

    Closing the generator stops the work that is under way.
    """

    def run(self, units: Iterable[WorkUnit]) -> Generator[list[Row], None, None]:
        """The rows of each unit, in the order they finish."""
        ...


class LocalProcesses:
    """Worker processes on this machine, even if it is one, so that all time alike."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment

    def run(self, units: Iterable[WorkUnit]) -> Generator[list[Row], None, None]:
        """The rows of each unit, in the order they finish.

        Raises:
            WorkerDiedError: a worker was killed, as by the system when memory runs out.
        """
        context = get_context("spawn")
        # We alone hold the writing end: it closes when we stop, and when we are killed.
        lifeline, ours = context.Pipe(duplex=False)
        pool = ProcessPoolExecutor(
            self._assignment.workers,
            mp_context=context,
            initializer=_start_worker,
            initargs=(lifeline, self._assignment.settings.threads),
        )
        queue = iter(units)
        running: set[Future[list[Row]]] = set()
        try:
            while True:
                # One unit ahead per worker keeps all busy, and leaves little to stop.
                free = 2 * self._assignment.workers - len(running)
                with _deaf_to_interrupts():  # a worker is born when it is first needed
                    for unit in itertools.islice(queue, free):
                        running.add(pool.submit(run_unit, self._assignment, unit))
                if not running:
                    return
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BrokenProcessPool as error:
            raise WorkerDiedError("a worker process died, perhaps for lack of memory") from error
        finally:
            ours.close()
            pool.shutdown(cancel_futures=True)
            lifeline.close()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started within ignore Ctrl-C, from their first moment on.

    It reaches the whole process group; the parent decides what it means.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, ours)


def _start_worker(lifeline: Connection, threads: int) -> None:
    torch.set_num_threads(threads)
    threading.Thread(target=_exit_with_parent, args=(lifeline,), daemon=True).start()


def _exit_with_parent(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
