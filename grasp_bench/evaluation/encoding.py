"""Simulator states to latents, many at a time."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from grasp_bench.models.observation import observe
from grasp_bench.training.data import Demonstrations
from grasp_bench.types import FloatArray, WorldModel

_BATCH = 500


@torch.no_grad()
def encode_states(model: WorldModel, states: FloatArray) -> Tensor:
    """Latents [N, *Z], on the model's device, of states [N, 7]."""
    parts = [
        model.encode(observe(states[i : i + _BATCH], model)) for i in range(0, len(states), _BATCH)
    ]
    return torch.cat(parts)


def sample_states(data: Demonstrations, count: int, seed: int) -> FloatArray:
    """Up to `count` different states [N, 7] of the demonstrations, in random order."""
    states = data.states.reshape(-1, data.states.shape[-1])
    rows = np.random.default_rng(seed).choice(len(states), min(count, len(states)), replace=False)
    return states[rows].astype(np.float64)


def latent_norm(model: WorldModel, latents: Tensor) -> Tensor:
    """Euclidean norm [...] of latents [..., *Z]."""
    rank = len(model.latent_shape)
    norm: Tensor = torch.linalg.vector_norm(latents, dim=tuple(range(-rank, 0)))
    return norm
