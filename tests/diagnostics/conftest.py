"""Demonstrations small enough to measure on in no time."""

import json

import numpy as np
import pytest

from grasp_bench.core.seeds import episode_generator
from grasp_bench.envs.pusht.demonstrator import demonstrate
from grasp_bench.tasks.demonstrations import load_demonstrations


@pytest.fixture(scope="session")
def data_folders(tmp_path_factory):
    """Folders of training and held-out demonstrations, 24 episodes of 100 steps each."""
    root = tmp_path_factory.mktemp("evaluation-data")
    for split in ("train", "held-out"):
        folder = root / split
        folder.mkdir()
        episodes = [demonstrate(episode_generator(split, i), 100) for i in range(24)]
        states, actions = (np.stack(part).astype(np.float32) for part in zip(*episodes))
        np.savez(folder / "shard-00000.npz", states=states, actions=actions)
        description = {"split": split, "steps": 100, "shard_episodes": 24}
        (folder / "dataset.json").write_text(json.dumps(description))
    return root


@pytest.fixture(scope="session")
def train(data_folders):
    return load_demonstrations(data_folders / "train", "train")


@pytest.fixture(scope="session")
def held_out(data_folders):
    return load_demonstrations(data_folders / "held-out", "held-out")
