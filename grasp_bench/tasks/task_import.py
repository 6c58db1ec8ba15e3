"""Makes a task file from a recording."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from grasp_bench.core.errors import UserError
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.tasks.importing import Recording
from grasp_bench.tasks.task_file import ENVIRONMENT_KEY, task_schema, write_task_file
from grasp_bench.tasks.task_set import SHIPPED
from grasp_bench.tasks.task_source import TaskSource
from grasp_bench.tasks.window_options import WindowOptions
from grasp_bench.tasks.windows import WindowCounts, count_windows, cut_windows, split_episodes

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


@dataclass(frozen=True)
class Imported:
    """Says what was imported.

    Attributes:
        sha256: of the task file.
        counts: by horizon, of the windows that are tasks by the recorded states.
        written: by horizon, tasks in the file.
    """

    sha256: str
    counts: dict[int, WindowCounts]
    written: dict[int, int]


def check_name(name: str) -> None:
    """Checks the name of a new task set.

    Raises:
        UserError: it is a shipped set's, or not made of lower-case letters, digits, `.`, `_`, `-`.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"'{name}' is no name of a task set: use a-z, 0-9, '-', '_', '.'")
    if name in SHIPPED:
        raise UserError(f"'{name}' is the name of a shipped task set: choose another")


def import_tasks(
    recording: Recording,
    options: WindowOptions,
    name: str,
    path: Path,
    progress: Callable[[int], None] = lambda done: None,
) -> Imported:
    """Cuts tasks out of a recording and writes them to a parquet file.

    The bytes are the same wherever numpy, pymunk and pyarrow are of the pinned versions.

    Args:
        recording: of Push-T.
        options: which windows.
        name: of the task set.
        path: the parquet file.
        progress: called with 1 after every episode of every horizon.

    Raises:
        UserError: the name is taken, or no window is a task.
    """
    check_name(name)
    episodes = split_episodes(len(recording), options.split)
    tasks = cut_windows(recording, options, name, progress)
    if not tasks:
        raise UserError(
            f"no window of '{recording.path}' is a task: {len(episodes)} episodes of split "
            f"'{options.split}', horizons {', '.join(map(str, options.horizons))}"
        )
    source = TaskSource(name, recording.layout, recording.sha256, options.facts())
    metadata = {ENVIRONMENT_KEY: PUSHT.name.encode(), **source.metadata()}
    schema = task_schema(PUSHT.state_dim).with_metadata(metadata)
    counts = {h: count_windows(recording, episodes, h) for h in options.horizons}
    written = {h: sum(task.horizon == h for task in tasks) for h in options.horizons}
    return Imported(write_task_file(path, tasks, schema), counts, written)
