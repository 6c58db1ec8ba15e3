"""Frozen task sets: parquet files, known by their SHA-256.

A number in a table is about these tasks. They are never trained on. Hyperparameters are
chosen on the tuning sets alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from grasp_bench.core.errors import UserError
from grasp_bench.core.registry import did_you_mean
from grasp_bench.core.seeds import TaskSplit, episode_generator
from grasp_bench.core.types import FloatArray, Task
from grasp_bench.envs import Environment, get_environment
from grasp_bench.tasks.known_sets import IMPORTED_FOLDER, KNOWN
from grasp_bench.tasks.task_file import (
    ENVIRONMENT_KEY,
    read_task_file,
    task_schema,
    write_task_file,
)

TASK_FOLDER = Path(__file__).parent / "shipped"
# A shipped task starts this many steps into a demonstration at the latest.
_LATEST_START = 60


@dataclass(frozen=True)
class ShippedSet:
    """A task set that this package ships.

    Attributes:
        environment: its name.
        split: names the random streams that the tasks were made from.
        prefix: begins the ids of its tasks.
        horizons: environment steps.
        tasks: per horizon.
        sha256: of the parquet file.
    """

    environment: str
    split: TaskSplit
    prefix: str
    horizons: tuple[int, ...]
    tasks: int
    sha256: str

    @property
    def path(self) -> Path:
        """The parquet file."""
        return TASK_FOLDER / f"{self.environment}-{self.split}.parquet"

    @property
    def total(self) -> int:
        """Tasks of all horizons."""
        return self.tasks * len(self.horizons)


_HORIZONS = (10, 20, 25, 30, 40, 50, 60, 70, 80)
# Frozen: a number in a table is about these tasks and no others.
SHIPPED: dict[str, ShippedSet] = {
    "eval": ShippedSet(
        *("pusht", "eval", "pusht", _HORIZONS, 500),
        "abd3d4f9cdf8a603fd063fcda790ed55a695a9bfeaca6c37c7bc3e53813529b6",
    ),
    "tune": ShippedSet(
        *("pusht", "tune", "pusht-tune", _HORIZONS, 100),
        "f22b09242126c7d689a5e8ffc29cce8bc6a22e5a0c2889fc91780bc5d5a182a8",
    ),
}


@dataclass(frozen=True)
class TaskSet:
    """The first tasks of one horizon.

    Attributes:
        name: of a shipped or known set, or the path of a file.
        environment: in which they are executed.
        horizon: environment steps.
        tasks: in the order of their ids.
        sha256: of the parquet file they come from.
        pool: all tasks of the horizon, from which `shuffled-demo` takes demonstrations.
    """

    name: str
    environment: Environment
    horizon: int
    tasks: list[Task]
    sha256: str
    pool: list[Task]


def load_tasks(name: str, horizon: int, count: int | None = None) -> TaskSet:
    """Loads the first `count` tasks of a horizon (all, if None).

    Args:
        name: `eval` or `tune`, which are shipped; `human` or `human-tune`, which a user makes;
            or the path of a parquet file that `write_tasks` or `import_tasks` wrote.
        horizon: environment steps.
        count: at least 1.

    Raises:
        UserError: no such set, it has not been made or has another hash, no tasks of that
            horizon, or fewer than `count`.
    """
    table, environment_name, sha256 = read_task_set(name)
    known = sorted(pc.unique(table["horizon"]).to_pylist())
    if horizon not in known:
        raise UserError(
            f"no tasks of horizon {horizon}: there are tasks of horizon "
            f"{', '.join(map(str, known))}"
        )
    rows = table.filter(pc.equal(table["horizon"], horizon)).to_pylist()
    if count is not None and not 1 <= count <= len(rows):
        raise UserError(
            f"{count} trials asked for: the {name} set has 1 to {len(rows)} tasks per horizon"
        )
    environment = get_environment(environment_name)
    tasks = [
        Task(
            id=row["id"],
            horizon=horizon,
            start_state=np.array(row["start_state"]),
            goal_state=np.array(row["goal_state"]),
            demo_actions=np.array(row["demo_actions"], float).reshape(-1, environment.action_dim),
        )
        for row in rows
    ]
    return TaskSet(name, environment, horizon, tasks[:count], sha256, tasks)


def read_task_set(name: str) -> tuple[pa.Table, str, str]:
    """Reads the table of a set, its environment's name and its SHA-256.

    Raises:
        UserError: as `load_tasks`.
    """
    if name in SHIPPED:
        return _read_shipped(name)
    if name in KNOWN:
        return _read_known(name)
    for path in (Path(name), IMPORTED_FOLDER / f"{name}.parquet"):
        if path.is_file():
            return read_task_file(path)
    imported = [path.stem for path in IMPORTED_FOLDER.glob("*.parquet")]
    hint = did_you_mean(name, {*SHIPPED, *KNOWN, *imported})
    raise UserError(f"no task set '{name}', neither a name nor a file: {hint}")


def _read_known(name: str) -> tuple[pa.Table, str, str]:
    known = KNOWN[name]
    path = known.path()
    table, environment, sha256 = read_task_file(path)
    if sha256 != known.sha256:
        raise UserError(
            f"'{path}' is not the task set '{name}': its SHA-256 is {sha256}, not {known.sha256}; "
            f"delete it, and make it with the packages of constraints.txt: '{known.commands[-1]}'"
        )
    return table, environment, sha256


@cache
def _read_shipped(name: str) -> tuple[pa.Table, str, str]:
    shipped = SHIPPED[name]
    content = shipped.path.read_bytes()
    if hashlib.sha256(content).hexdigest() != shipped.sha256:
        raise UserError(
            f"{shipped.path} is not the {name} task set that this version ships: reinstall"
        )
    return pq.read_table(pa.BufferReader(content)), shipped.environment, shipped.sha256


def write_tasks(path: Path, environment: str, tasks: Sequence[Task]) -> str:
    """Writes a task file that `load_tasks` takes; returns its SHA-256.

    Args:
        path: of the parquet file.
        environment: what `get_environment` takes: a name, or `module:NAME`.
        tasks: of any horizons.
    """
    schema = task_schema(len(tasks[0].start_state))
    metadata = {ENVIRONMENT_KEY: environment.encode()}
    return write_task_file(path, tasks, schema.with_metadata(metadata))


def make_tasks(name: str, path: Path, progress: Callable[[int], None] = lambda done: None) -> str:
    """Makes a shipped set anew, as it was made; returns the file's SHA-256.

    The rows are the same wherever pymunk and numpy are of the pinned versions; the bytes,
    and so the SHA-256, wherever pyarrow is as well.

    Args:
        name: `eval` or `tune`.
        path: the parquet file to write.
        progress: called with 1 after every task.
    """
    shipped = SHIPPED[name]
    environment = get_environment(shipped.environment)
    tasks: list[Task] = []
    for horizon in shipped.horizons:
        number = 0
        for start, actions in _windows(environment, shipped.split, horizon):
            goal = environment.rollout(start[None], actions[None])[0, -1]
            if not environment.is_task(start, goal):
                continue
            task_id = f"{shipped.prefix}-h{horizon}-{number:04d}"
            tasks.append(Task(task_id, horizon, start, goal, actions))
            number += 1
            progress(1)
            if number == shipped.tasks:
                break
    return write_task_file(path, tasks, task_schema(environment.state_dim))


def _windows(
    environment: Environment, split: TaskSplit, horizon: int
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Cuts one start per demonstration, so that tasks are independent."""
    episode = 0
    while True:
        rng = episode_generator(split, horizon, episode)
        begin = int(rng.integers(0, _LATEST_START + 1))
        states, actions = environment.demonstrate(rng, begin + horizon)
        yield states[begin], actions[begin:]
        episode += 1
