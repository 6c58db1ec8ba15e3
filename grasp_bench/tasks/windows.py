"""Cuts tasks out of recordings: windows of H steps of one episode.

A window is a task if no component of its actions exceeds 1, which the simulator would clip, and
if its start and goal are a task of the environment. The goal is where its actions lead in a fresh
simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grasp_bench.core.types import FloatArray, Task
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.criteria import are_tasks
from grasp_bench.tasks.importing import Recording
from grasp_bench.tasks.window_options import SHARES, EpisodeSplit, WindowOptions

# First words of random streams. They are not among those of `core.seeds`.
_SPLIT_STREAM, _WINDOW_STREAM = 11, 12


@dataclass(frozen=True)
class WindowCounts:
    """Counts the windows of one horizon that are tasks, judged by the recorded states.

    Attributes:
        starts: windows, one a start.
        episodes: that have one.
        apart: windows that share no step, the earliest ones first.
    """

    starts: int
    episodes: int
    apart: int


def split_episodes(count: int, split: EpisodeSplit) -> list[int]:
    """Returns the episodes of a split, in the order of a fixed permutation of all `count`."""
    stream = np.random.default_rng(np.random.SeedSequence((_SPLIT_STREAM, count)))
    order: list[int] = stream.permutation(count).tolist()
    if split == "all":
        return order
    percent = 0
    for name, share in SHARES.items():
        begin, percent = percent, percent + share
        if name == split:
            return order[-(-count * begin // 100) : -(-count * percent // 100)]
    raise ValueError(f"unknown split {split}")


def task_starts(
    states: FloatArray, actions: NDArray[np.float32], horizon: int
) -> NDArray[np.int64]:
    """Returns the first steps of an episode's windows that are tasks by the recorded states.

    Args:
        states: [T, 7].
        actions: [T, 2] relative, in units of 100 px.
        horizon: H.
    """
    count = len(states) - horizon
    if count < 1:
        return np.zeros(0, np.int64)
    beyond = np.r_[0, np.cumsum((np.abs(actions) > 1).any(axis=1))]
    within = beyond[horizon : horizon + count] == beyond[:count]
    return np.flatnonzero(within & are_tasks(states[:count], states[horizon:]))


def count_windows(recording: Recording, episodes: Sequence[int], horizon: int) -> WindowCounts:
    """Counts the windows of some episodes that are tasks by the recorded states."""
    starts = with_one = apart = 0
    for episode in episodes:
        found = task_starts(*recording.episode(episode), horizon).tolist()
        starts += len(found)
        with_one += bool(found)
        free = 0
        for start in found:
            if start >= free:
                apart, free = apart + 1, start + horizon
    return WindowCounts(starts, with_one, apart)


def cut_windows(
    recording: Recording,
    options: WindowOptions,
    name: str,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Task]:
    """Cuts a recording's tasks.

    Args:
        recording: of Push-T.
        options: which windows.
        name: of the task set; ids begin with it.
        progress: called with 1 after every episode of every horizon.

    Returns:
        Tasks by horizon. Of each horizon, every episode's first window comes before any second
        one, and episodes are in their permuted order: the first N tasks are a fair sample.
    """
    episodes = split_episodes(len(recording), options.split)
    tasks: list[Task] = []
    for horizon in options.horizons:
        ranked: list[tuple[int, int, Task]] = []
        for place, episode in enumerate(episodes):
            chosen = _choose(recording, episode, horizon, options, name)
            ranked += [(rank, place, task) for rank, task in enumerate(chosen)]
            progress(1)
        tasks += [task for _, _, task in sorted(ranked, key=lambda row: row[:2])]
    return tasks


def _choose(
    recording: Recording, episode: int, horizon: int, options: WindowOptions, name: str
) -> list[Task]:
    """Draws windows of one episode, in random order, until there are enough."""
    states, actions = recording.episode(episode)
    key = (_WINDOW_STREAM, options.seed, horizon, episode)
    rng = np.random.default_rng(np.random.SeedSequence(key))
    taken: list[int] = []
    tasks: list[Task] = []
    for start in rng.permutation(task_starts(states, actions, horizon)).tolist():
        if len(tasks) == options.windows:
            break
        if any(abs(start - other) < horizon for other in taken):
            continue
        plan = actions[start : start + horizon].astype(np.float64)
        goal = PUSHT.rollout(states[start][None], plan[None])[0, -1]
        if PUSHT.is_task(states[start], goal):
            taken.append(start)
            task_id = f"{PUSHT.name}-{name}-h{horizon}-e{episode:03d}-t{start:04d}"
            tasks.append(Task(task_id, horizon, states[start], goal, plan))
    return tasks
