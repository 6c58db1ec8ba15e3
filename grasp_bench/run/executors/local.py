"""Runs units of work in processes of this machine."""

from __future__ import annotations

from functools import partial

from grasp_bench.run.executors import ResourceLimits
from grasp_bench.run.executors.supervised import Processes
from grasp_bench.run.worker import Assignment, run_unit


class LocalProcesses(Processes):
    """Runs units in worker processes; always uses a process, so that timings are comparable."""

    def __init__(self, assignment: Assignment, limits: ResourceLimits | None = None) -> None:
        work = partial(run_unit, assignment)
        threads = assignment.protocol.threads
        super().__init__(work, assignment.workers, threads, limits or ResourceLimits())
