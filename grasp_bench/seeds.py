"""Random streams of demonstrations, by split, so that no split ever meets another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

DataSplit = Literal["train", "held-out"]
TaskSplit = Literal["tune", "eval"]

_FIRST_WORD: dict[str, int] = {"train": 1, "held-out": 2, "tune": 3, "eval": 4}


def episode_generator(split: DataSplit | TaskSplit, *key: int) -> np.random.Generator:
    """The random stream of one episode of a split."""
    import numpy as np  # the command line names the splits, and needs no more of this module

    return np.random.default_rng(np.random.SeedSequence((_FIRST_WORD[split], *key)))
