"""Runs a sweep: planners x horizons x tasks, split into units of work and stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

from grasp_bench.core.types import Row
from grasp_bench.planners import PlannerSpec
from grasp_bench.run.executors import Executor, Failure
from grasp_bench.run.run_folder import RunFolder, Turn
from grasp_bench.run.worker import WorkUnit
from grasp_bench.tasks import TaskSet

_LOOK_EVERY = 1.0  # seconds between two looks at what another process has finished


@dataclass(frozen=True)
class Sweep:
    """A grid of trials: planners on the first tasks of every horizon's set.

    Attributes:
        planners: by horizon, the configurations to compare.
        task_sets: by horizon, each cut to the tasks to run.
        batch: tasks planned together.
        shard: (i, n) runs the i-th of n parts of the grid, counted from 1.
    """

    planners: Mapping[int, Sequence[PlannerSpec]]
    task_sets: Mapping[int, TaskSet]
    batch: int
    shard: tuple[int, int] = (1, 1)

    def units(self) -> Iterator[WorkUnit]:
        """Yields units task by task across horizons and planners: a stopped sweep is balanced.

        Which tasks share a batch depends on the grid alone, never on what is done already.
        """
        longest = max(len(task_set.tasks) for task_set in self.task_sets.values())
        number, parts = self.shard
        for begin in range((number - 1) * self.batch, longest, parts * self.batch):
            for horizon, task_set in self.task_sets.items():
                end = min(begin + self.batch, len(task_set.tasks))
                if begin < end:
                    for planner in self.planners[horizon]:
                        yield WorkUnit(planner, horizon, begin, end)

    def keys(self, unit: WorkUnit) -> list[str]:
        """Returns the trial keys of a unit."""
        tasks = self.task_sets[unit.horizon].tasks[unit.begin : unit.end]
        return [unit.planner.trial_key(task.id) for task in tasks]

    def all_keys(self) -> set[str]:
        """Returns the trial keys of the whole grid."""
        return {key for unit in self.units() for key in self.keys(unit)}


def run_sweep(
    sweep: Sweep,
    folder: RunFolder,
    executor: Executor,
    on_rows: Callable[[list[Row]], None],
    given_up: Callable[[Failure], list[Row]],
    on_wait: Callable[[int], None] = lambda units: None,
) -> None:
    """Runs the trials that the folder lacks, and stores each as it finishes.

    Trials that another process has taken on are left to it, and run here if it ends before they
    are finished. However this ends, what had finished is on disk; running it again does the rest.

    Args:
        sweep: the grid.
        folder: to store in.
        executor: runs the units.
        on_rows: called with rows once they are stored.
        given_up: makes the rows of a unit that nobody could bring to an end.
        on_wait: called with how many units another process is at, when only those are left.
    """
    units: Iterable[WorkUnit] = sweep.units()
    waits = False
    try:
        while True:
            theirs: list[WorkUnit] = []
            ours = _ours(sweep, folder, units, theirs)
            if (first := next(ours, None)) is not None:
                with closing(executor.run(chain([first], ours))) as results:
                    for result in results:
                        rows = given_up(result) if isinstance(result, Failure) else result
                        # A batch that was half done is run whole, as batches round differently.
                        if stored := folder.add(rows):
                            on_rows(stored)
            if not theirs:
                return
            if not waits:
                on_wait(len(theirs))
                waits = True
            time.sleep(_LOOK_EVERY)
            units = theirs
    finally:
        folder.compact()


def _ours(
    sweep: Sweep, folder: RunFolder, units: Iterable[WorkUnit], theirs: list[WorkUnit]
) -> Iterator[WorkUnit]:
    """Takes units on one by one, as they are asked for; those of other processes are `theirs`."""
    for unit in units:
        turn = folder.turn(sweep.keys(unit))
        if turn is Turn.OURS:
            yield unit
        elif turn is Turn.THEIRS:
            theirs.append(unit)
