"""Derives random streams: of trials, and of demonstrations by split."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

DataSplit = Literal["train", "held-out"]
TaskSplit = Literal["tune", "eval"]

_FIRST_WORD: dict[str, int] = {"train": 1, "held-out": 2, "tune": 3, "eval": 4}


def episode_generator(split: DataSplit | TaskSplit, *key: int) -> np.random.Generator:
    """Returns the random stream of one episode of a split."""
    import numpy as np  # the command line names the splits, and needs no more of this module

    return np.random.default_rng(np.random.SeedSequence((_FIRST_WORD[split], *key)))


def trial_seed(master_seed: int, task_id: str, planner_name: str) -> int:
    """Derives a trial's 64-bit seed; batch, worker, order and resume do not enter."""
    text = f"{master_seed}|{task_id}|{planner_name}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
