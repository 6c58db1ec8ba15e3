"""Runs units of work on a Ray cluster, whose nodes may die; needs the extra `ray`."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

from grasp_bench.core.errors import UserError, describe, one_line
from grasp_bench.core.types import Row
from grasp_bench.run.executors import Failure, ResourceLimits, WorkersEndedError
from grasp_bench.run.executors.actor import Actor
from grasp_bench.run.worker import Assignment, WorkUnit, run_unit

_LOOK_EVERY, _LISTENS_WITHIN = 0.5, 20.0  # seconds
_NOBODY_AFTER = 300.0  # seconds without any actor
# In Ray's words: not a fault of the unit, and one of the actor's own beginning.
_NODE_DIED, _RAISED = "node has died", "creation task"
_MOST_BROKEN = 3  # actors one after another that raise as they begin


class RayCluster:
    """Runs units in actors, one unit at a time each, which load a checkpoint once.

    An actor asks for as many CPUs as a worker has threads, and for the share of a GPU that the
    limits name, so that several may share one. A lost actor is replaced and its unit tried
    again; losing a node does not count against the unit. Rows come back as they finish, and no
    unit is handed out before somebody is free, so that the driver's memory stays flat.
    """

    actor: ClassVar[type] = Actor

    def __init__(self, assignment: Assignment, limits: ResourceLimits | None = None) -> None:
        self._assignment = assignment
        self._limits = limits or ResourceLimits()

    def run(self, units: Iterable[WorkUnit]) -> Generator[list[Row] | Failure, None, None]:
        """Yields the rows of units that have finished together; see `Executor.run`."""
        ray = _ray()
        with _connected(ray, self._limits.address):
            yield from self._run(ray, units)

    def _run(self, ray: Any, units: Iterable[WorkUnit]) -> Iterator[list[Row] | Failure]:
        queue, again, crashes = iter(units), deque[WorkUnit](), dict[WorkUnit, int]()
        threads, work = self._assignment.protocol.threads, partial(run_unit, self._assignment)
        place = ray.remote(num_cpus=threads, num_gpus=self._limits.gpus, max_restarts=0)
        ask = partial(
            place(self.actor).remote, pickle.dumps(work), threads, self._limits, os.getcwd()
        )
        slots = [_Slot(ray, ask) for _ in range(self._assignment.workers)]
        somebody = time.monotonic()
        try:
            while True:
                for slot in slots:
                    if slot.waits:
                        unit = again.popleft() if again else next(queue, None)
                        if unit is not None:
                            slot.begin(unit)
                if any(slot.ready for slot in slots):
                    somebody = time.monotonic()
                    if not again and all(slot.unit is None for slot in slots):
                        return
                elif time.monotonic() - somebody > _NOBODY_AFTER:
                    raise WorkersEndedError("no actor can be placed on the Ray cluster")
                yield from self._look_at(ray, slots, again, crashes)
        finally:
            for slot in slots:
                slot.end()

    def _look_at(
        self, ray: Any, slots: list[_Slot], again: deque[WorkUnit], crashes: dict[WorkUnit, int]
    ) -> Iterator[list[Row] | Failure]:
        """Takes what has finished, all at once, and sees to actors that are lost."""
        asked = {slot.ref: slot for slot in slots if slot.ref is not None}
        ray.wait(list(asked), num_returns=1, timeout=_LOOK_EVERY)
        done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0)
        rows: list[Row] = []
        failures: list[Failure] = []
        errors: list[Exception] = []
        for slot in map(asked.__getitem__, done):
            unit = slot.unit
            try:
                result = slot.result()
            except slot.lost as error:
                if (hopeless := slot.replace(error)) is not None:
                    errors.append(hopeless)
                if unit is None:
                    continue
                crashes[unit] = crashes.get(unit, 0) + (_NODE_DIED not in str(error))
                if crashes[unit] < self._limits.attempts:
                    again.append(unit)
                else:
                    reason = f"its actor died, {self._limits.attempts} times"
                    failures.append(Failure(unit, reason))
                continue
            except ray.exceptions.RayError as error:
                errors.append(WorkersEndedError(f"an actor raises {_last_line(error)}"))
                continue
            if isinstance(result, list):
                rows += result
            elif isinstance(result, Exception):
                errors.append(result)
            elif unit is not None:
                failures.append(Failure(unit, result))
        if rows:
            yield rows
        yield from failures
        if errors:
            raise errors[0]


class _Slot:
    """A place for an actor.

    Attributes:
        unit: it works on, None if it waits or is being placed.
        ref: of what it was asked for last, None if it waits.
        ready: it has been placed.
    """

    def __init__(self, ray: Any, ask: Any) -> None:
        self._ray, self._ask = ray, ask
        errors = ray.exceptions
        self.lost: Any = (errors.RayActorError, errors.WorkerCrashedError, errors.OutOfMemoryError)
        self._start(0)

    def _start(self, broken: int) -> None:
        self._actor: Any = self._ask()
        self.unit: WorkUnit | None = None
        self.ready, self._broken = False, broken
        self.ref: Any = self._actor.ready.remote()

    @property
    def waits(self) -> bool:
        """Tells whether it can be given a unit."""
        return self.ready and self.ref is None

    def begin(self, unit: WorkUnit) -> None:
        """Gives the actor a unit."""
        self.unit = unit
        self.ref = self._actor.run.remote(pickle.dumps(unit))

    def result(self) -> list[Row] | str | Exception:
        """Returns rows, why the unit was given up, or why none can be run; "" once it is placed."""
        found: list[Row] | str | Exception = self._ray.get(self.ref)
        self.ref = None
        if self.unit is None:
            self.ready = True
            return ""
        self.unit = None
        return found

    def replace(self, error: Exception) -> WorkersEndedError | None:
        """Asks for another actor in the place of a lost one, unless each raises as it begins."""
        broken = self._broken + 1 if not self.ready and _RAISED in str(error) else 0
        if broken == _MOST_BROKEN:
            return WorkersEndedError(f"an actor cannot begin ({_last_line(error)})")
        self.end()
        self._start(broken)
        return None

    def end(self) -> None:
        """Ends the actor, whatever it is at."""
        self._ray.kill(self._actor, no_restart=True)
        self.ref = None


@contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """Joins a cluster, or starts one here, unless this process is in one already.

    Raises:
        UserError: there is no cluster at the address.
    """
    if ray.is_initialized():
        yield
        return
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_reachable(where)
    try:
        ray.init(address=where, log_to_driver=False, include_dashboard=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"no Ray cluster at '{where}': {describe(error)}") from error
    if is_main:
        signal.signal(signal.SIGTERM, before)  # Ray's own would end the command without a word
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raises UserError where nobody listens at host:port, for which Ray waits for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "://" not in address:
        try:
            socket.create_connection((host, int(port)), timeout=_LISTENS_WITHIN).close()
        except (OSError, OverflowError) as error:
            raise UserError(f"no Ray cluster at '{address}': {error}") from error


def _last_line(error: Exception) -> str:
    """Returns the line of Ray's report that names the exception."""
    return one_line(str(error).strip().splitlines()[-1], 300)


def _ray() -> Any:
    """Imports Ray.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UserError("--executor ray needs Ray: pip install 'grasp-bench[ray]'") from error
