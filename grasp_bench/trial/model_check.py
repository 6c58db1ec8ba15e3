"""Tries a world model on one task before any trial: a broken one must not look like a bad one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.plugins import foreign_code
from grasp_bench.core.types import WorldModel
from grasp_bench.models import LoadedModel
from grasp_bench.tasks import TaskSet
from grasp_bench.trial.protocol import TrialProtocol


def check_model(loaded: LoadedModel, task_set: TaskSet, protocol: TrialProtocol) -> None:
    """Encodes a task, takes steps, and measures distances, as planners will.

    Raises:
        UserError: the model raises, or returns other shapes or types than the protocol says,
            or numbers that are not finite; or it cannot weigh what the objective wants weighed.
    """
    what = f"world model '{loaded.source or loaded.name}'"
    weighs = callable(getattr(loaded.model, "goal_distance", None))
    if protocol.proprio_weight != 1.0 and not weighs:
        raise UserError(f"{what} has no `goal_distance`: --proprio-weight must be 1")
    with foreign_code(what):
        _try(loaded.model, task_set, what)


def _try(model: WorldModel, task_set: TaskSet, what: str) -> None:
    environment, task = task_set.environment, task_set.tasks[0]
    states = np.stack([task.start_state, task.goal_state])
    latent, steps = tuple(model.latent_shape), task_set.horizon // model.frameskip
    with torch.no_grad():
        encoded = model.encode(environment.observe(states, model.view))
        _check(f"{what}: `encode`", encoded, (2, *latent))
        start, goal = encoded[:1], encoded[1:]
        demonstration = torch.from_numpy(task.demo_actions)[None]
        actions = model.normalise_actions(demonstration.to(start))
        _check(f"{what}: `normalise_actions`", actions, (1, steps, model.action_dim))
        back = model.denormalise_actions(actions)
        _check(f"{what}: `denormalise_actions`", back, tuple(demonstration.shape))
        several = start[:, None].expand(1, steps, *latent)
        _check(f"{what}: `step`", model.step(several, actions), (1, steps, *latent))
        _check(f"{what}: `distance`", model.distance(start, goal), (1,))
        probe = getattr(model, "probe", None)
        if probe is not None:
            read, expected = probe.read(encoded), states.shape
            if not isinstance(read, np.ndarray) or read.shape != expected:
                raise UserError(f"{what}: `probe.read` does not return an array of {expected}")


def _check(method: str, value: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(value, Tensor):
        raise UserError(f"{method} returns {type(value).__name__}, not a tensor")
    if tuple(value.shape) != shape:
        raise UserError(f"{method} returns the shape {tuple(value.shape)}, not {shape}")
    if not value.is_floating_point():
        raise UserError(f"{method} returns {value.dtype}, not floating-point numbers")
    if not bool(value.isfinite().all()):
        raise UserError(f"{method} returns numbers that are not finite")
