"""Runs units of work somewhere: in processes of this machine, or wherever a plugin does.

An executor is a class that is made of an `Assignment` and `ResourceLimits`. Its method `run`
takes units and yields their rows as they finish, in any order, or a `Failure`. Installed packages
add executors through the entry-point group `grasp_bench.executors`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from grasp_bench.core.registry import Registry

if TYPE_CHECKING:
    from grasp_bench.core.types import Row
    from grasp_bench.run.worker import Assignment, WorkUnit


@dataclass(frozen=True)
class ResourceLimits:
    """Holds what a unit may take before it is given up.

    Attributes:
        seconds: of wall time, loading and warming up included; None for any.
        mebibytes: of memory of its process and the children of that; None for any.
        attempts: workers that it may crash.
        gpus: of a cluster, that each worker is given; a share of one for several on one.
        address: of a cluster; None for one that is started here.
    """

    seconds: float | None = None
    mebibytes: int | None = None
    attempts: int = 3
    gpus: float = 0.0
    address: str | None = None


@dataclass(frozen=True)
class Failure:
    """A unit that was given up, and why."""

    unit: WorkUnit
    reason: str


class WorkersEndedError(Exception):
    """No worker can be started, or all are gone; the message says why."""


class Executor(Protocol):
    """Runs units of work."""

    def __init__(self, assignment: Assignment, limits: ResourceLimits) -> None: ...

    def run(self, units: Iterable[WorkUnit]) -> Generator[list[Row] | Failure, None, None]:
        """Yields the rows of units that have finished together, or why one was given up.

        Closing the generator stops the work that is under way.

        Raises:
            WorkersEndedError: there is nobody left to work.
        """
        ...


EXECUTORS: Registry[type[Executor]] = Registry("executor", "grasp_bench.executors")
EXECUTORS.add_lazy("local", "grasp_bench.run.executors.local:LocalProcesses")
EXECUTORS.add_lazy("ray", "grasp_bench.run.executors.ray_cluster:RayCluster")
