"""Draws and encodes simulator states, and what else several measurements need."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from grasp_bench.core.types import FloatArray, WorldModel
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.tasks.demonstrations import Demonstrations

_BATCH = 500


@torch.no_grad()
def encode_states(model: WorldModel, states: FloatArray) -> Tensor:
    """Encodes states [N, 7] as latents [N, *Z] on the model's device."""
    parts = [
        model.encode(PUSHT.observe(states[i : i + _BATCH], model.view))
        for i in range(0, len(states), _BATCH)
    ]
    return torch.cat(parts)


def sample_states(data: Demonstrations, count: int, seed: int) -> FloatArray:
    """Draws up to `count` different states [N, 7] of the demonstrations, in random order."""
    states = data.states.reshape(-1, data.states.shape[-1])
    rows = np.random.default_rng(seed).choice(len(states), min(count, len(states)), replace=False)
    return states[rows].astype(np.float64)


def rounded(figures: Mapping[str, float], digits: int = 4) -> dict[str, float]:
    """Rounds numbers for a report."""
    return {name: round(float(value), digits) for name, value in figures.items()}


def latent_norm(model: WorldModel, latents: Tensor) -> Tensor:
    """Returns the Euclidean norm [...] of latents [..., *Z]."""
    rank = len(model.latent_shape)
    norm: Tensor = torch.linalg.vector_norm(latents, dim=tuple(range(-rank, 0)))
    return norm
