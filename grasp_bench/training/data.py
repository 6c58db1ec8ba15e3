"""Demonstration datasets: collected over processes, stored as npz shards, read as arrays.

Only states and actions are stored: frames are a function of states and are drawn when
needed, which takes less time than reading them from a disk would.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np

from envs.demonstrator import Style, demonstrate
from envs.pusht import FloatArray
from grasp_bench.errors import UserError

Split = Literal["train", "held-out", "tune", "eval"]

# First word of every seed. A split's random streams never meet another's.
SPLIT_SEEDS: dict[Split, int] = {"train": 1, "held-out": 2, "tune": 3, "eval": 4}

SHARD_EPISODES = 500

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


def episode_generator(split: Split, *key: int) -> np.random.Generator:
    """The random stream of one episode of a split."""
    return np.random.default_rng(np.random.SeedSequence((SPLIT_SEEDS[split], *key)))


def _episode(split: Split, index: int, steps: int) -> tuple[FloatArray, FloatArray]:
    rng = episode_generator(split, index)
    shares = [share for share, _ in TRAINING_STYLES]
    style = TRAINING_STYLES[int(rng.choice(len(shares), p=shares))][1]
    return demonstrate(rng, steps, style)


def _write_shard(path: str, split: Split, first: int, count: int, steps: int) -> int:
    episodes = [_episode(split, first + i, steps) for i in range(count)]
    temporary = f"{path}.{os.getpid()}.tmp.npz"
    np.savez(
        temporary,
        states=np.stack([s for s, _ in episodes]).astype(np.float32),
        actions=np.stack([a for _, a in episodes]).astype(np.float32),
    )
    os.replace(temporary, path)
    return count


def collect(
    folder: Path,
    split: Split,
    episodes: int,
    steps: int = 100,
    workers: int = 2,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Collect demonstrations into `folder`; shards that are already there are kept.

    Args:
        folder: where `shard-*.npz` and `dataset.json` go.
        split: names the random streams; see SPLIT_SEEDS.
        episodes: rounded up to whole shards of SHARD_EPISODES.
        steps: environment steps an episode.
        workers: processes.
        progress: called with the number of episodes just finished.

    Raises:
        UserError: the folder holds another dataset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = {"split": split, "steps": steps, "shard_episodes": SHARD_EPISODES}
    card = folder / "dataset.json"
    if card.exists() and json.loads(card.read_text()) != description:
        raise UserError(f"{folder} holds another dataset ({card.read_text()}): choose another")
    card.write_text(json.dumps(description))
    shards = -(-episodes // SHARD_EPISODES)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = []
        for shard in range(shards):
            path = folder / f"shard-{shard:05d}.npz"
            if path.exists():
                progress(SHARD_EPISODES)
                continue
            first = shard * SHARD_EPISODES
            futures.append(
                pool.submit(_write_shard, str(path), split, first, SHARD_EPISODES, steps)
            )
        for future in as_completed(futures):
            progress(future.result())


def load_demonstrations(folder: Path, episodes: int | None = None) -> Demonstrations:
    """Read the first `episodes` episodes of a dataset (all, if None).

    Raises:
        UserError: no dataset there, or fewer episodes than asked for.
    """
    paths = sorted(folder.glob("shard-*.npz"))
    if not paths:
        raise UserError(
            f"no demonstrations in {folder}: collect some with "
            f"'grasp-bench data collect --out {folder}'"
        )
    wanted = len(paths) if episodes is None else -(-episodes // SHARD_EPISODES)
    if wanted > len(paths):
        raise UserError(
            f"{folder} holds {len(paths) * SHARD_EPISODES} episodes, {episodes} are needed: "
            f"run 'grasp-bench data collect --out {folder} --episodes {episodes}'"
        )
    shards = [np.load(path, allow_pickle=False) for path in paths[:wanted]]
    return Demonstrations(
        np.concatenate([s["states"] for s in shards])[:episodes],
        np.concatenate([s["actions"] for s in shards])[:episodes],
    )
