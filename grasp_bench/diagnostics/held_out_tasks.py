"""Cuts start-goal pairs out of held-out demonstrations and encodes them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import FloatArray, WorldModel
from grasp_bench.diagnostics.encoding import encode_states
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.tasks.demonstrations import Demonstrations

_VELOCITIES = slice(5, 7)


@dataclass(frozen=True)
class HeldOutTasks:
    """Holds K start-goal pairs, H environment steps apart on demonstrations.

    Attributes:
        start_states: [K, 7].
        goal_states: [K, 7], reached by replaying `actions` in a fresh simulator.
        actions: [K, H, 2] of the demonstrations.
        episodes: [K] the held-out episodes they come from.
        start: [K, *Z] encoded starts.
        goal: [K, *Z] encoded goals.
    """

    start_states: FloatArray
    goal_states: FloatArray
    actions: FloatArray
    episodes: np.ndarray
    start: Tensor
    goal: Tensor

    @property
    def horizon(self) -> int:
        """Returns H."""
        return int(self.actions.shape[1])

    def __len__(self) -> int:
        return len(self.actions)

    def at_rest(self, model: WorldModel) -> HeldOutTasks:
        """Returns the same tasks with agents that stand still at start and goal."""
        starts, goals = self.start_states.copy(), self.goal_states.copy()
        starts[:, _VELOCITIES] = goals[:, _VELOCITIES] = 0.0
        start, goal = encode_states(model, starts), encode_states(model, goals)
        return replace(self, start_states=starts, goal_states=goals, start=start, goal=goal)

    def first(self, count: int) -> HeldOutTasks:
        """Returns the first `count` tasks."""
        return HeldOutTasks(*(getattr(self, field.name)[:count] for field in fields(self)))


def cut_tasks(
    model: WorldModel, held_out: Demonstrations, horizon: int, count: int, seed: int
) -> HeldOutTasks:
    """Cuts `count` tasks, one per episode, in random order.

    As in the frozen task sets, the start lies outside the goal region and the block moves
    or turns between start and goal.

    Args:
        model: encodes starts and goals.
        held_out: demonstrations.
        horizon: H.
        count: K.
        seed: of episodes and starts.

    Raises:
        UserError: the episodes are too short or too few, or the horizon is not a multiple
            of the model's frameskip.
    """
    if horizon < 1 or horizon % model.frameskip:
        raise UserError(
            f"horizon {horizon} is not a multiple of the model's frameskip {model.frameskip}"
        )
    length = held_out.actions.shape[1]
    if horizon > length:
        raise UserError(f"horizon {horizon}: the held-out episodes are {length} steps long")
    rng = np.random.default_rng(seed)
    kept: list[tuple[FloatArray, FloatArray, FloatArray, int]] = []
    for episode in rng.permutation(len(held_out.actions)):
        begin = int(rng.integers(0, length - horizon + 1))
        start = held_out.states[episode, begin].astype(np.float64)
        actions = held_out.actions[episode, begin : begin + horizon].astype(np.float64)
        goal = PUSHT.rollout(start[None], actions[None])[0, -1]
        if PUSHT.is_task(start, goal):
            kept.append((start, goal, actions, int(episode)))
        if len(kept) == count:
            break
    else:
        raise UserError(
            f"{count} tasks asked for: the held-out demonstrations give {len(kept)} "
            f"of horizon {horizon}"
        )
    starts, goals, plans, episodes = (np.array(part) for part in zip(*kept, strict=True))
    latents = encode_states(model, starts), encode_states(model, goals)
    return HeldOutTasks(starts, goals, plans, episodes, *latents)
