"""Summarises task sets, and replays their demonstrations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.criteria import wrapped_angle_error
from grasp_bench.tasks.known_sets import IMPORTED_FOLDER, KNOWN, known_name
from grasp_bench.tasks.task_set import SHIPPED, TaskSet, load_tasks, read_task_set
from grasp_bench.tasks.task_source import TaskSource, read_source

# A replayed demonstration ends this near its goal, in the environment's units: the goals are
# stored in 64 bits, and other builds of pymunk may round the last ones differently.
REACHED = 1e-6


@dataclass(frozen=True)
class TaskSetSummary:
    """Says what a task set is.

    Attributes:
        name: of the set, or the path of its file.
        environment: its name.
        sha256: of its file.
        counts: tasks by horizon.
        source: of imported tasks, else None.
        standing: whether it is shipped, known, or neither, in words.
    """

    name: str
    environment: str
    sha256: str
    counts: dict[int, int]
    source: TaskSource | None
    standing: str

    @property
    def origin(self) -> str:
        """Says in words where the tasks come from."""
        if self.source is not None:
            return str(self.source)
        return "scripted demonstrator" if self.standing == "shipped" else "not said"


def summarise(name: str) -> TaskSetSummary:
    """Summarises a task set, given by name or path.

    Raises:
        UserError: as `load_tasks`.
    """
    table, environment, sha256 = read_task_set(name)
    counted = pc.value_counts(table["horizon"]).to_pylist()
    counts = {int(row["values"]): int(row["counts"]) for row in counted}
    if name in SHIPPED:
        standing = "shipped"
    elif (known := known_name(sha256)) is not None:
        standing = f"known as {known}"
    else:
        standing = "a file"
    source = read_source(table.schema)
    return TaskSetSummary(name, environment, sha256, dict(sorted(counts.items())), source, standing)


def listed_names() -> Iterator[tuple[str, bool]]:
    """Yields the names of shipped and known sets, and whether each is there, then other files."""
    yield from ((name, True) for name in SHIPPED)
    found = {name: known.find() for name, known in KNOWN.items()}
    yield from ((name, path is not None) for name, path in found.items())
    used = {path.resolve() for path in found.values() if path is not None}
    for path in sorted(IMPORTED_FOLDER.glob("*.parquet")):
        if path.resolve() not in used:
            yield str(path), True


def medians(task_set: TaskSet) -> tuple[float, float] | None:
    """Returns the medians of the block's move (px) and turn (degrees); None unless Push-T."""
    if task_set.environment.name != PUSHT.name:
        return None
    starts = np.stack([task.start_state for task in task_set.tasks])
    goals = np.stack([task.goal_state for task in task_set.tasks])
    moves = np.linalg.norm(goals[:, 2:4] - starts[:, 2:4], axis=1)
    turns = np.degrees(wrapped_angle_error(goals[:, 4], starts[:, 4]))
    return float(np.median(moves)), float(np.median(turns))


@dataclass(frozen=True)
class ReplayCounts:
    """Counts the tasks of one horizon whose demonstration was replayed.

    Attributes:
        horizon: environment steps.
        tasks: replayed.
        reached: that end in the stored goal state.
        succeeded: by the environment's default criterion.
    """

    horizon: int
    tasks: int
    reached: int
    succeeded: int

    @property
    def sound(self) -> bool:
        """Tells whether every demonstration reaches its goal and succeeds."""
        return self.tasks == self.reached == self.succeeded


def replay_demonstrations(name: str) -> Iterator[ReplayCounts]:
    """Replays every demonstration of a task set in a fresh simulator, horizon by horizon.

    Raises:
        UserError: as `load_tasks`.
    """
    for horizon in summarise(name).counts:
        task_set = load_tasks(name, horizon)
        environment, tasks = task_set.environment, task_set.tasks
        goals = np.stack([task.goal_state for task in tasks])
        starts = np.stack([task.start_state for task in tasks])
        states = environment.rollout(starts, np.stack([task.demo_actions for task in tasks]))
        reached = np.abs(states[:, -1] - goals).max(axis=1) <= REACHED
        succeeded = [outcome.success for outcome in environment.outcomes(states, goals)]
        yield ReplayCounts(horizon, len(tasks), int(reached.sum()), sum(succeeded))
