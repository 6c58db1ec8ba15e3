"""What a world model is shown of simulator states: pictures and proprioception."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike

from envs.render import render
from grasp_bench.types import Observation, WorldModel

PROPRIO_COLUMNS = (0, 1, 5, 6)  # agent x, y, vx, vy of a state


def observe(states: ArrayLike, model: WorldModel) -> Observation:
    """What `model` is shown of states [B, 7], with pictures of the size it takes."""
    rows = np.asarray(states, dtype=np.float64)
    proprio = rows[:, PROPRIO_COLUMNS].astype(np.float32)
    return Observation(
        pixels=torch.from_numpy(render(rows, model.image_size)),
        proprio=torch.from_numpy(proprio),
    )
