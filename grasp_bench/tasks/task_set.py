"""Frozen task sets: parquet files, known by their SHA-256.

A number in a table is about these tasks. They are never trained on. Hyperparameters are
chosen on the tuning set alone.
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
from grasp_bench.core.files import write_atomically
from grasp_bench.core.registry import did_you_mean
from grasp_bench.core.seeds import TaskSplit, episode_generator
from grasp_bench.core.types import FloatArray, Task
from grasp_bench.envs import Environment, get_environment

TASK_FOLDER = Path(__file__).parent / "shipped"
_ENVIRONMENT_KEY = b"grasp_bench_environment"
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
        name: of a shipped set, or the path of a file.
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
        name: `eval` or `tune`, or the path of a parquet file that `write_tasks` wrote.
        horizon: environment steps.
        count: at least 1.

    Raises:
        UserError: no such set, no tasks of that horizon, or fewer than `count`.
    """
    table, environment_name, sha256 = _read(name)
    rows = table.filter(pc.equal(table["horizon"], horizon)).to_pylist()
    if not rows:
        known = ", ".join(map(str, sorted(pc.unique(table["horizon"]).to_pylist())))
        raise UserError(f"no tasks of horizon {horizon}: there are tasks of horizon {known}")
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


def _read(name: str) -> tuple[pa.Table, str, str]:
    """Reads a file's table, its environment's name and its SHA-256."""
    if name in SHIPPED:
        return _read_shipped(name)
    path = Path(name)
    if not path.is_file():
        hint = did_you_mean(name, SHIPPED)
        raise UserError(f"no task set '{name}', neither a name nor a file: {hint}")
    content = path.read_bytes()
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"'{path}' is not a complete parquet file") from error
    environment = (table.schema.metadata or {}).get(_ENVIRONMENT_KEY)
    if environment is None or table.schema.names != _schema(1).names or not len(table):
        raise UserError(f"'{path}' is parquet, but not a task file of grasp-bench")
    return table, environment.decode(), hashlib.sha256(content).hexdigest()


@cache
def _read_shipped(name: str) -> tuple[pa.Table, str, str]:
    shipped = SHIPPED[name]
    content = shipped.path.read_bytes()
    if hashlib.sha256(content).hexdigest() != shipped.sha256:
        raise UserError(
            f"{shipped.path} is not the {name} task set that this version ships: reinstall"
        )
    return pq.read_table(pa.BufferReader(content)), shipped.environment, shipped.sha256


def _schema(state_dim: int) -> pa.Schema:
    return pa.schema(
        [
            ("id", pa.string()),
            ("horizon", pa.int32()),
            ("start_state", pa.list_(pa.float64(), state_dim)),
            ("goal_state", pa.list_(pa.float64(), state_dim)),
            ("demo_actions", pa.list_(pa.float32())),
        ]
    )


def write_tasks(path: Path, environment: str, tasks: Sequence[Task]) -> str:
    """Writes a task file that `load_tasks` takes; returns its SHA-256.

    Args:
        path: of the parquet file.
        environment: what `get_environment` takes: a name, or `module:NAME`.
        tasks: of any horizons.
    """
    schema = _schema(len(tasks[0].start_state))
    return _write(path, tasks, schema.with_metadata({_ENVIRONMENT_KEY: environment.encode()}))


def _write(path: Path, tasks: Sequence[Task], schema: pa.Schema) -> str:
    rows = [
        {
            "id": task.id,
            "horizon": task.horizon,
            "start_state": task.start_state.tolist(),
            "goal_state": task.goal_state.tolist(),
            "demo_actions": task.demo_actions.astype(np.float32).ravel().tolist(),
        }
        for task in tasks
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema), sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


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
    return _write(path, tasks, _schema(environment.state_dim))


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
