"""Runs units of work on a Ray cluster, whose nodes may die; needs the extra `ray`."""

from __future__ import annotations

import importlib
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import Row
from grasp_bench.run.executors import Failure, ResourceLimits, WorkersEndedError
from grasp_bench.run.worker import Assignment, WorkUnit, run_unit

_LOOK_EVERY = 0.5  # seconds
_NOBODY_AFTER = 300.0  # seconds without any actor that has started
_NODE_DIED = "node has died"  # in Ray's words; not a fault of the unit


class RayCluster:
    """Runs units in actors, one unit at a time each, which load a checkpoint once.

    An actor asks for as many CPUs as a worker has threads, and for the share of a GPU that the
    limits name, so that several may share one. A lost actor is replaced and its unit tried
    again; losing a node does not count against the unit. Rows come back as they finish, and no
    unit is handed out before somebody is free, so that the driver's memory stays flat.
    """

    def __init__(self, assignment: Assignment, limits: ResourceLimits | None = None) -> None:
        self._assignment = assignment
        self._limits = limits or ResourceLimits()
        if self._limits.mebibytes is not None:
            raise UserError(
                "--trial-memory is for --executor local: Ray's own monitor ends a worker that "
                "takes too much of its node's memory"
            )

    def run(self, units: Iterable[WorkUnit]) -> Generator[list[Row] | Failure, None, None]:
        """Yields the rows of each unit, in the order they finish; see `Executor.run`."""
        ray = _ray()
        ours = not ray.is_initialized()
        if ours:
            ray.init(address=self._limits.address, log_to_driver=False, include_dashboard=False)
        queue, again, crashes = iter(units), deque[WorkUnit](), dict[WorkUnit, int]()
        actors = [
            _Slot(ray, self._assignment, self._limits) for _ in range(self._assignment.workers)
        ]
        first_seen, began = False, time.monotonic()
        try:
            while True:
                for slot in actors:
                    if slot.waits:
                        unit = again.popleft() if again else next(queue, None)
                        if unit is not None:
                            slot.begin(unit)
                busy = [slot for slot in actors if slot.ref is not None]
                first_seen = first_seen or any(slot.ready for slot in actors)
                if all(slot.unit is None for slot in actors) and first_seen and not again:
                    rest = next(queue, None)
                    if rest is None:
                        return
                    again.append(rest)
                if not first_seen and time.monotonic() - began > _NOBODY_AFTER:
                    raise WorkersEndedError("no actor could be placed on the Ray cluster")
                ray.wait([slot.ref for slot in busy], num_returns=1, timeout=_LOOK_EVERY)
                for slot in busy:
                    yield from self._look_at(slot, again, crashes)
        finally:
            for slot in actors:
                slot.end()
            if ours:
                ray.shutdown()

    def _look_at(
        self, slot: _Slot, again: deque[WorkUnit], crashes: dict[WorkUnit, int]
    ) -> Iterator[list[Row] | Failure]:
        """Takes what an actor has finished, and sees to it if it is lost or takes too long."""
        unit, limit = slot.unit, self._limits.seconds
        try:
            result = slot.result()
        except slot.lost as error:
            slot.end()
            slot.start()
            if unit is None:
                return
            crashes[unit] = crashes.get(unit, 0) + (_NODE_DIED not in str(error))
            if crashes[unit] < self._limits.attempts:
                again.append(unit)
            else:
                yield Failure(unit, f"its actor died, {self._limits.attempts} times")
            return
        if result is not None:
            yield result
        elif unit is not None and limit is not None and time.monotonic() - slot.begun > limit:
            slot.end()
            slot.start()
            yield Failure(unit, f"it had no end after {limit:g} seconds (--trial-timeout)")


class _Slot:
    """A place for an actor.

    Attributes:
        unit: it works on, None if it waits or is being placed.
        ref: of what it was asked for last, None if it waits.
        ready: it has been placed.
        begun: when it was given its unit.
    """

    def __init__(self, ray: Any, assignment: Assignment, limits: ResourceLimits) -> None:
        self._ray, self._assignment, self._limits = ray, assignment, limits
        errors = ray.exceptions
        self.lost: Any = (errors.RayActorError, errors.WorkerCrashedError, errors.OutOfMemoryError)
        self.start()

    def start(self) -> None:
        """Asks for an actor."""
        make = self._ray.remote(
            num_cpus=self._assignment.protocol.threads, num_gpus=self._limits.gpus, max_restarts=0
        )
        self._actor: Any = make(_Actor).remote(self._assignment)
        self.unit: WorkUnit | None = None
        self.ready, self.begun = False, 0.0
        self.ref: Any = self._actor.ready.remote()

    @property
    def waits(self) -> bool:
        """Tells whether it can be given a unit."""
        return self.ready and self.ref is None

    def begin(self, unit: WorkUnit) -> None:
        """Gives the actor a unit."""
        self.unit, self.begun = unit, time.monotonic()
        self.ref = self._actor.run.remote(unit)

    def result(self) -> list[Row] | None:
        """Returns the rows of the unit if it has finished.

        Raises:
            UserError: the unit cannot be run anywhere.
        """
        done, _ = self._ray.wait([self.ref], timeout=0)
        if not done:
            return None
        found = self._ray.get(self.ref)
        self.ref = None
        if self.unit is None:
            self.ready = True
            return None
        self.unit = None
        if isinstance(found, UserError):
            raise found
        rows: list[Row] = found
        return rows

    def end(self) -> None:
        """Ends the actor, whatever it is at."""
        self._ray.kill(self._actor, no_restart=True)
        self.ref = None


class _Actor:
    """Runs units in a process somewhere in the cluster."""

    def __init__(self, assignment: Assignment) -> None:
        import torch

        torch.set_num_threads(assignment.protocol.threads)
        self._assignment = assignment

    def ready(self) -> bool:
        return True

    def run(self, unit: WorkUnit) -> list[Row] | UserError:
        try:
            return run_unit(self._assignment, unit)
        except UserError as error:
            return error


def _ray() -> Any:
    """Imports Ray.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UserError("--executor ray needs Ray: pip install 'grasp-bench[ray]'") from error
