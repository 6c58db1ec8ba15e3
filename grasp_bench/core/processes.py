"""Runs worker processes that end with their parent, however it ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import Any


class WorkerPool(ProcessPoolExecutor):
    """Runs calls on worker processes; `worker_pool` makes one."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Has a worker make a call; all of it must pickle."""
        with interrupts_held_back():  # a worker is born when it is first needed
            return super().submit(fn, *args, **kwargs)


@contextmanager
def worker_pool(workers: int) -> Iterator[WorkerPool]:
    """Opens worker processes that are ended on leaving, whatever they are at."""
    context = get_context("spawn")
    # We alone hold the writing end: it closes when we stop, and when we are killed.
    lifeline, ours = context.Pipe(duplex=False)
    pool = WorkerPool(
        workers, mp_context=context, initializer=end_with_parent, initargs=(lifeline,)
    )
    try:
        yield pool
    finally:
        ours.close()
        pool.shutdown(cancel_futures=True)
        lifeline.close()


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Holds Ctrl-C and SIGTERM back: they reach us afterwards, and processes started within never.

    A terminal and a batch system send them to the whole process group; the parent decides what
    they mean.
    """
    resource_tracker.ensure_running()  # it would let them through again as it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent(lifeline: Connection) -> None:
    """Has this process end when the other end of the lifeline closes, whatever it is at."""
    # A handler is not passed on to the programs that this process starts; a mask would be.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_exit_with_parent, args=(lifeline,), daemon=True).start()


def _exit_with_parent(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
