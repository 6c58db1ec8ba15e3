"""Frozen task sets: made once from the scripted demonstrator, shipped as parquet.

A number in a table is about these tasks. They are never trained on, and only the tuning
set may be looked at when hyperparameters are chosen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from envs.demonstrator import demonstrate
from envs.goal import ANGLE_TOLERANCE, POSITION_TOLERANCE, in_goal_region, wrapped_angle_error
from envs.pusht import FloatArray, rollout
from grasp_bench.errors import UserError
from grasp_bench.seeds import TaskSplit, episode_generator
from grasp_bench.types import Task

HORIZONS = (10, 20, 25, 30, 40, 50, 60, 70, 80)
TASKS_PER_HORIZON: dict[TaskSplit, int] = {"eval": 500, "tune": 100}
TASK_FOLDER = Path(__file__).parent / "task_sets"

# Frozen: a number in a table is about these tasks and no others.
TASK_SHA256: dict[TaskSplit, str] = {
    "eval": "abd3d4f9cdf8a603fd063fcda790ed55a695a9bfeaca6c37c7bc3e53813529b6",
    "tune": "f22b09242126c7d689a5e8ffc29cce8bc6a22e5a0c2889fc91780bc5d5a182a8",
}

# A task starts this many steps into a demonstration at the latest; the agent is under way.
_LATEST_START = 60

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("horizon", pa.int32()),
        ("start_state", pa.list_(pa.float64(), 7)),
        ("goal_state", pa.list_(pa.float64(), 7)),
        ("demo_actions", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True)
class TaskSet:
    """The first tasks of one horizon.

    Attributes:
        split: "eval" or "tune".
        horizon: environment steps.
        tasks: in the order of their ids.
        sha256: of the parquet file they come from.
    """

    split: TaskSplit
    horizon: int
    tasks: list[Task]
    sha256: str


def task_file(split: TaskSplit) -> Path:
    """The shipped parquet file of a split."""
    return TASK_FOLDER / f"pusht-{split}.parquet"


@cache
def _read(split: TaskSplit) -> pa.Table:
    path = task_file(split)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != TASK_SHA256[split]:
        raise UserError(f"{path} is not the {split} task set that this version ships: reinstall")
    return pq.read_table(pa.BufferReader(content), schema=_SCHEMA)


def load_tasks(split: TaskSplit, horizon: int, count: int | None = None) -> TaskSet:
    """The first `count` tasks of a horizon (all, if None).

    Raises:
        UserError: no tasks of that horizon, or fewer than `count`.
    """
    if horizon not in HORIZONS:
        known = ", ".join(map(str, HORIZONS))
        raise UserError(f"no tasks of horizon {horizon}: there are tasks of horizon {known}")
    available = TASKS_PER_HORIZON[split]
    if count is not None and not 1 <= count <= available:
        raise UserError(
            f"{count} trials asked for: the {split} set has 1 to {available} tasks per horizon"
        )
    table = _read(split)
    rows = table.filter(pa.compute.equal(table["horizon"], horizon)).to_pylist()[:count]
    tasks = [
        Task(
            id=row["id"],
            horizon=horizon,
            start_state=np.array(row["start_state"]),
            goal_state=np.array(row["goal_state"]),
            demo_actions=np.array(row["demo_actions"], dtype=np.float64).reshape(horizon, 2),
        )
        for row in rows
    ]
    return TaskSet(split, horizon, tasks, TASK_SHA256[split])


def is_task(start: FloatArray, goal: FloatArray) -> bool:
    """Whether a start [7] and goal [7] ask for pushing and are not solved at the start.

    PROTOCOL: the start is outside the goal region, and the block moves 20 px or turns
    pi / 9 between start and goal.
    """
    if bool(in_goal_region(start, goal)):
        return False
    moved = float(np.linalg.norm(goal[2:4] - start[2:4])) >= POSITION_TOLERANCE
    turned = bool(wrapped_angle_error(goal[4], start[4]) >= ANGLE_TOLERANCE)
    return moved or turned


def _candidates(split: TaskSplit, horizon: int) -> Iterator[tuple[FloatArray, FloatArray]]:
    # One start per demonstration, so that tasks are independent.
    episode = 0
    while True:
        rng = episode_generator(split, horizon, episode)
        begin = int(rng.integers(0, _LATEST_START + 1))
        states, actions = demonstrate(rng, begin + horizon)
        yield states[begin], actions[begin:]
        episode += 1


def make_tasks(
    split: TaskSplit,
    path: Path,
    progress: Callable[[int], None] = lambda done: None,
) -> str:
    """Make a split's tasks anew, as the shipped ones were made.

    The rows are the same wherever pymunk and numpy are of the pinned versions; the bytes,
    and so the SHA-256, wherever pyarrow is as well.

    Args:
        split: "eval" or "tune".
        path: the parquet file to write.
        progress: called with 1 after every task.

    Returns:
        The file's SHA-256.
    """
    rows = []
    for horizon in HORIZONS:
        prefix = "pusht" if split == "eval" else "pusht-tune"
        number = 0
        for start, actions in _candidates(split, horizon):
            goal = rollout(start[None], actions[None])[0, -1]
            if not is_task(start, goal):
                continue
            rows.append(
                {
                    "id": f"{prefix}-h{horizon}-{number:04d}",
                    "horizon": horizon,
                    "start_state": start.tolist(),
                    "goal_state": goal.tolist(),
                    "demo_actions": actions.astype(np.float32).ravel().tolist(),
                }
            )
            number += 1
            progress(1)
            if number == TASKS_PER_HORIZON[split]:
                break
    temporary = path.with_suffix(".tmp")
    pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), temporary, compression="zstd")
    temporary.replace(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()
