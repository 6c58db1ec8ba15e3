"""Demonstration datasets: collects them over processes, stores npz shards, reads arrays.

A dataset holds states and actions. Frames are drawn from states when they are needed, which
takes less time than reading them from a disk.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from grasp_bench.core.errors import UserError
from grasp_bench.core.files import write_atomically
from grasp_bench.core.json_files import read_json
from grasp_bench.core.processes import worker_pool
from grasp_bench.core.seeds import DataSplit, episode_generator
from grasp_bench.core.types import FloatArray
from grasp_bench.envs.pusht.demonstrator import Style, demonstrate

SHARD_EPISODES = 500
_DESCRIPTION_FILE = "dataset.json"
_SHARDS = ("split", "steps", "shard_episodes", "episodes")  # how it is kept

# Shares of episodes, by style. Planners ask a model about actions that the plain style never
# takes, so the training data holds noisier ones, too. Tasks are made with the plain style.
TRAINING_STYLES: tuple[tuple[float, Style], ...] = (
    (0.55, Style()),
    (0.25, Style(noise=0.18, noise_memory=0.5, lean=0.6, wander=0.05)),
    (0.20, Style(speed=0.22, noise=0.3, noise_memory=0.2, lean=0.8, wander=0.0)),
)


@dataclass(frozen=True)
class Demonstrations:
    """Holds N episodes of L environment steps.

    Attributes:
        states: [N, L + 1, 7] float32.
        actions: [N, L, 2] float32, in units of 100 px.
        origin: of a recording's, which one and what was made of it; plain JSON.
    """

    states: np.ndarray
    actions: np.ndarray
    origin: Mapping[str, Any] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Returns the SHA-256 of all numbers."""
        digest = hashlib.sha256(np.ascontiguousarray(self.states).data)
        digest.update(np.ascontiguousarray(self.actions).data)
        return digest.hexdigest()


def _episode(split: DataSplit, index: int, steps: int) -> tuple[FloatArray, FloatArray]:
    rng = episode_generator(split, index)
    shares = [share for share, _ in TRAINING_STYLES]
    style = TRAINING_STYLES[int(rng.choice(len(shares), p=shares))][1]
    return demonstrate(rng, steps, style)


def _collect_shard(folder: Path, split: DataSplit, shard: int, steps: int) -> int:
    first = shard * SHARD_EPISODES
    episodes = [_episode(split, first + i, steps) for i in range(SHARD_EPISODES)]
    states, actions = zip(*episodes, strict=True)
    write_shard(folder, shard, states, actions)
    return SHARD_EPISODES


def write_shard(
    folder: Path, shard: int, states: Sequence[FloatArray], actions: Sequence[FloatArray]
) -> None:
    """Writes a shard of episodes: states [L + 1, 7] and actions [L, 2] of each."""
    content = io.BytesIO()
    np.savez(
        content,
        states=np.stack(states).astype(np.float32),
        actions=np.stack(actions).astype(np.float32),
    )
    write_atomically(shard_path(folder, shard), content.getvalue())


def open_dataset(folder: Path, description: Mapping[str, Any]) -> None:
    """Begins a dataset in `folder`, or goes on with the one that is there.

    Args:
        folder: where `shard-*.npz` and `dataset.json` go.
        description: plain JSON; whatever decides the data.

    Raises:
        UserError: the folder holds another dataset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    card = folder / _DESCRIPTION_FILE
    if not card.exists():
        write_atomically(card, json.dumps(description).encode())
    elif (found := _description(folder)) != description:
        raise UserError(f"{folder} holds another dataset ({found}): choose another folder")


def collect(
    folder: Path,
    split: DataSplit,
    episodes: int,
    steps: int = 100,
    workers: int = 2,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Collects demonstrations into `folder`; keeps the shards that are already there.

    Args:
        folder: where `shard-*.npz` and `dataset.json` go.
        split: names the random streams.
        episodes: rounded up to whole shards of `SHARD_EPISODES`.
        steps: environment steps an episode.
        workers: processes.
        progress: called with the number of episodes just finished.

    Raises:
        UserError: the folder holds another dataset.
    """
    open_dataset(folder, {"split": split, "steps": steps, "shard_episodes": SHARD_EPISODES})
    shards = -(-episodes // SHARD_EPISODES)
    missing = [shard for shard in range(shards) if not shard_path(folder, shard).exists()]
    progress((shards - len(missing)) * SHARD_EPISODES)
    with worker_pool(workers) as pool:
        futures = [pool.submit(_collect_shard, folder, split, shard, steps) for shard in missing]
        for future in as_completed(futures):
            progress(future.result())


def load_demonstrations(
    folder: Path, split: DataSplit, episodes: int | None = None
) -> Demonstrations:
    """Reads the first `episodes` episodes of a split's dataset; None reads all.

    Raises:
        UserError: there is no dataset, it is another split's or damaged, or it holds fewer
            episodes.
    """
    paths = sorted(folder.glob("shard-*.npz"))
    hint = f"run 'grasp-bench data collect --split {split} --out {folder}"
    if not paths:
        raise UserError(f"no demonstrations in {folder}: {hint}'")
    description = _description(folder)
    if (found := description.get("split")) != split:
        raise UserError(f"{folder} holds {found} demonstrations, not {split} ones")
    recorded = "episodes" in description  # of a recording, which has so many
    total = description["episodes"] if recorded else len(paths) * SHARD_EPISODES
    complete = type(total) is int and -(-total // SHARD_EPISODES) == len(paths)
    if not complete or paths[-1] != shard_path(folder, len(paths) - 1):
        again = "give the command that began it" if recorded else f"{hint}'"
        raise UserError(f"{folder} misses a shard, as collecting was stopped: {again} again")
    if episodes is not None and episodes > total:
        more = "collect more copies into another folder" if recorded else f"{hint} --episodes"
        end = "" if recorded else f" {episodes}'"
        raise UserError(f"{folder} holds {total} episodes, {episodes} are needed: {more}{end}")
    wanted = total if episodes is None else episodes
    read = [_read_shard(path) for path in paths[: -(-wanted // SHARD_EPISODES)]]
    if (episodes or recorded) and sum(len(shard.states) for shard in read) < wanted:
        raise UserError(f"{folder} holds fewer than {wanted} episodes: a shard is not complete")
    return Demonstrations(
        np.concatenate([shard.states for shard in read])[:wanted],
        np.concatenate([shard.actions for shard in read])[:wanted],
        {key: value for key, value in description.items() if key not in _SHARDS},
    )


def shard_path(folder: Path, shard: int) -> Path:
    """Returns the file of a shard of `SHARD_EPISODES` episodes; the last may hold fewer."""
    return folder / f"shard-{shard:05d}.npz"


def _description(folder: Path) -> dict[str, Any]:
    path = folder / _DESCRIPTION_FILE
    try:
        description, _ = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: collect into another folder") from error
    if not isinstance(description, dict):
        raise UserError(f"{path} does not describe a dataset: collect into another folder")
    return description


def _read_shard(path: Path) -> Demonstrations:
    try:
        with np.load(path, allow_pickle=False) as shard:
            return Demonstrations(shard["states"], shard["actions"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UserError(f"{path} is damaged: delete it and collect again") from error
