"""Demonstration datasets: collected over processes, stored as npz shards, read as arrays.

Only states and actions are stored: frames are a function of states and are drawn when
needed, which takes less time than reading them from a disk would.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from envs.demonstrator import Style, demonstrate
from envs.pusht import FloatArray
from grasp_bench.errors import UserError
from grasp_bench.processes import worker_pool
from grasp_bench.results import write_atomically
from grasp_bench.seeds import DataSplit, episode_generator

SHARD_EPISODES = 500
DESCRIPTION_FILE = "dataset.json"

# Planners ask about actions no demonstrator takes, so the training data holds some:
# (share of episodes, style). Tasks are made with the plain style alone.
TRAINING_STYLES: tuple[tuple[float, Style], ...] = (
    (0.55, Style()),
    (0.25, Style(noise=0.18, noise_memory=0.5, lean=0.6, wander=0.05)),
    (0.20, Style(speed=0.22, noise=0.3, noise_memory=0.2, lean=0.8, wander=0.0)),
)


@dataclass(frozen=True)
class Demonstrations:
    """N episodes of L environment steps.

    Attributes:
        states: [N, L + 1, 7] float32.
        actions: [N, L, 2] float32, in units of 100 px.
    """

    states: np.ndarray
    actions: np.ndarray

    def fingerprint(self) -> str:
        """SHA-256 of all numbers."""
        digest = hashlib.sha256(np.ascontiguousarray(self.states).data)
        digest.update(np.ascontiguousarray(self.actions).data)
        return digest.hexdigest()


def _episode(split: DataSplit, index: int, steps: int) -> tuple[FloatArray, FloatArray]:
    rng = episode_generator(split, index)
    shares = [share for share, _ in TRAINING_STYLES]
    style = TRAINING_STYLES[int(rng.choice(len(shares), p=shares))][1]
    return demonstrate(rng, steps, style)


def write_shard(path: Path, states: np.ndarray, actions: np.ndarray) -> None:
    """Write episodes, states [N, L + 1, 7] and actions [N, L, 2], all or nothing."""
    temporary = path.with_name(f"{path.name}.tmp")  # reading does not take it for a shard
    with temporary.open("wb") as file:
        np.savez(file, states=states.astype(np.float32), actions=actions.astype(np.float32))
    os.replace(temporary, path)


def _collect_shard(path: Path, split: DataSplit, first: int, count: int, steps: int) -> int:
    episodes = [_episode(split, first + i, steps) for i in range(count)]
    write_shard(path, np.stack([s for s, _ in episodes]), np.stack([a for _, a in episodes]))
    return count


def collect(
    folder: Path,
    split: DataSplit,
    episodes: int,
    steps: int = 100,
    workers: int = 2,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Collect demonstrations into `folder`; shards that are already there are kept.

    Args:
        folder: where `shard-*.npz` and `dataset.json` go.
        split: names the random streams.
        episodes: rounded up to whole shards of SHARD_EPISODES.
        steps: environment steps an episode.
        workers: processes.
        progress: called with the number of episodes just finished.

    Raises:
        UserError: the folder holds another dataset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = {"split": split, "steps": steps, "shard_episodes": SHARD_EPISODES}
    card = folder / DESCRIPTION_FILE
    if not card.exists():
        write_atomically(card, json.dumps(description).encode())
    elif (found := _description(folder)) != description:
        raise UserError(f"{folder} holds another dataset ({found}): choose another folder")
    shards = -(-episodes // SHARD_EPISODES)
    with worker_pool(workers) as pool:
        futures = []
        for shard in range(shards):
            path = _shard_path(folder, shard)
            if path.exists():
                progress(SHARD_EPISODES)
                continue
            first = shard * SHARD_EPISODES
            futures.append(pool.submit(_collect_shard, path, split, first, SHARD_EPISODES, steps))
        for future in as_completed(futures):
            progress(future.result())


def load_demonstrations(
    folder: Path, split: DataSplit, episodes: int | None = None
) -> Demonstrations:
    """Read the first `episodes` episodes of a split's dataset (all, if None).

    Raises:
        UserError: no dataset there, one of another split, a damaged one, or fewer episodes
            than asked for.
    """
    paths = sorted(folder.glob("shard-*.npz"))
    hint = f"run 'grasp-bench data collect --split {split} --out {folder}"
    if not paths:
        raise UserError(f"no demonstrations in {folder}: {hint}'")
    found = _description(folder).get("split")
    if found != split:
        raise UserError(f"{folder} holds {found} demonstrations, not {split} ones")
    if paths[-1] != _shard_path(folder, len(paths) - 1):
        raise UserError(f"{folder} misses a shard, as collecting was stopped: {hint}' again")
    wanted = len(paths) if episodes is None else -(-episodes // SHARD_EPISODES)
    if wanted > len(paths):
        raise UserError(
            f"{folder} holds {len(paths) * SHARD_EPISODES} episodes, {episodes} are needed: "
            f"{hint} --episodes {episodes}'"
        )
    shards = [read_shard(path) for path in paths[:wanted]]
    return Demonstrations(
        np.concatenate([shard.states for shard in shards])[:episodes],
        np.concatenate([shard.actions for shard in shards])[:episodes],
    )


def _shard_path(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:05d}.npz"


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION_FILE
    try:
        description = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: collect into another folder") from error
    if not isinstance(description, dict):
        raise UserError(f"{path} does not describe a dataset: collect into another folder")
    return description


def read_shard(path: Path) -> Demonstrations:
    """The episodes of one shard.

    Raises:
        UserError: damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as shard:
            return Demonstrations(shard["states"], shard["actions"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UserError(f"{path} is damaged: delete it and collect again") from error
