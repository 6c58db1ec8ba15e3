"""Start-goal pairs cut out of held-out demonstrations, encoded."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from envs.pusht import FloatArray, rollout
from grasp_bench.errors import UserError
from grasp_bench.evaluation.encoding import encode_states
from grasp_bench.tasks import is_task
from grasp_bench.training.data import Demonstrations
from grasp_bench.types import WorldModel

_VELOCITIES = slice(5, 7)


@dataclass(frozen=True)
class HeldOutTasks:
    """K start-goal pairs, H environment steps apart on demonstrations.

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
        """H."""
        return int(self.actions.shape[1])

    def __len__(self) -> int:
        return len(self.actions)

    def at_rest(self, model: WorldModel) -> HeldOutTasks:
        """The same tasks with agents that stand still at start and goal."""
        starts, goals = self.start_states.copy(), self.goal_states.copy()
        starts[:, _VELOCITIES] = goals[:, _VELOCITIES] = 0.0
        return replace(
            self,
            start_states=starts,
            goal_states=goals,
            start=encode_states(model, starts),
            goal=encode_states(model, goals),
        )

    def first(self, count: int) -> HeldOutTasks:
        """The first `count` of them."""
        return HeldOutTasks(
            self.start_states[:count],
            self.goal_states[:count],
            self.actions[:count],
            self.episodes[:count],
            self.start[:count],
            self.goal[:count],
        )


def cut_tasks(
    model: WorldModel, held_out: Demonstrations, horizon: int, count: int, seed: int
) -> HeldOutTasks:
    """`count` tasks, one an episode, in random order.

    As in the frozen task sets, the start lies outside the goal region and the block moves
    or turns between start and goal.

    Raises:
        UserError: the episodes are too short or too few, or the horizon is no multiple of
            the model's frameskip.
    """
    if horizon < 1 or horizon % model.frameskip:
        raise UserError(
            f"horizon {horizon} is not a multiple of the model's frameskip {model.frameskip}"
        )
    length = held_out.actions.shape[1]
    if horizon > length:
        raise UserError(f"horizon {horizon}: the held-out episodes are {length} steps long")
    rng = np.random.default_rng(seed)
    kept: list[tuple[int, FloatArray, FloatArray, FloatArray]] = []
    for episode in rng.permutation(len(held_out.actions)):
        begin = int(rng.integers(0, length - horizon + 1))
        start = held_out.states[episode, begin].astype(np.float64)
        actions = held_out.actions[episode, begin : begin + horizon].astype(np.float64)
        goal = rollout(start[None], actions[None])[0, -1]
        if is_task(start, goal):
            kept.append((int(episode), start, goal, actions))
        if len(kept) == count:
            break
    else:
        raise UserError(
            f"{count} tasks asked for: the held-out demonstrations give {len(kept)} "
            f"of horizon {horizon}"
        )
    starts = np.stack([start for _, start, _, _ in kept])
    goals = np.stack([goal for _, _, goal, _ in kept])
    return HeldOutTasks(
        starts,
        goals,
        np.stack([actions for _, _, _, actions in kept]),
        np.array([episode for episode, _, _, _ in kept]),
        encode_states(model, starts),
        encode_states(model, goals),
    )
