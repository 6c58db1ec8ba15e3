"""Success criteria of the field: regions of agent and block, of the block alone, and coverage."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from grasp_bench.core.types import FloatArray
from grasp_bench.envs.pusht.simulator import BAR, STEM, block_frame_to_world

POSITION_TOLERANCE = 20.0  # px
ANGLE_TOLERANCE = np.pi / 9
STRICT_POSITION, STRICT_ANGLE, STRICT_STEPS = 10.0, np.radians(10.0), 3
COVERED = 0.95  # of the goal block's area
# Beyond these the covered share is below `COVERED`: each leaves a strip of the bar bare.
_COVERING_DISTANCE, _COVERING_ANGLE = 10.0, 0.2


def wrapped_angle_error(angle: ArrayLike, goal: ArrayLike) -> NDArray[np.float64]:
    """Returns the absolute difference of angles (rad), wrapped to [0, pi]."""
    difference = np.asarray(angle, dtype=np.float64) - np.asarray(goal, dtype=np.float64)
    return np.abs((difference + np.pi) % (2 * np.pi) - np.pi)


def _in_region(
    states: ArrayLike,
    goals: ArrayLike,
    coordinates: slice,
    position: float = POSITION_TOLERANCE,
    angle: float = ANGLE_TOLERANCE,
) -> NDArray[np.bool_]:
    state, goal = np.asarray(states, dtype=np.float64), np.asarray(goals, dtype=np.float64)
    offset = state[..., coordinates] - goal[..., coordinates]
    near = np.linalg.norm(offset, axis=-1) < position
    aligned = wrapped_angle_error(state[..., 4], goal[..., 4]) < angle
    return np.asarray(near & aligned)


def in_goal_region(states: ArrayLike, goals: ArrayLike) -> NDArray[np.bool_]:
    """Tells whether states [..., 7] lie in the region of goals [..., 7].

    In the region the Euclidean distance of (agent x, agent y, block x, block y) is below
    20 px and the wrapped difference of the block's angle is below pi / 9 (DINO-WM, GRASP).
    """
    return _in_region(states, goals, slice(0, 4))


def block_in_goal_region(states: ArrayLike, goals: ArrayLike) -> NDArray[np.bool_]:
    """Tells what `in_goal_region` tells for the block alone: 20 px and pi / 9."""
    return _in_region(states, goals, slice(2, 4))


def block_held_strictly(states: ArrayLike, goals: ArrayLike) -> NDArray[np.bool_]:
    """Tells whether the block stays near for three steps, CLEAR-LeWM's strict criterion.

    Takes states [B, H, 7] and goals [B, 7]. The block is within 10 px and 10 degrees in each
    of three consecutive steps.
    """
    goal = np.asarray(goals, dtype=np.float64)[:, None]
    near = _in_region(states, goal, slice(2, 4), STRICT_POSITION, STRICT_ANGLE)
    if near.shape[1] < STRICT_STEPS:
        return np.zeros(len(near), dtype=np.bool_)
    windows = np.lib.stride_tricks.sliding_window_view(near, STRICT_STEPS, axis=1)
    return np.asarray(windows.all(axis=-1).any(axis=-1))


def coverage(states: ArrayLike, goals: ArrayLike) -> FloatArray:
    """Returns the share of the goal block that the block covers, gym-pusht's reward.

    Takes states [..., 7] and goals [..., 7]. Bar and stem do not overlap, so that the areas of
    the four intersections add up.
    """
    parts = [shapely.polygons(block_frame_to_world(part, states)) for part in (BAR, STEM)]
    wanted = [shapely.polygons(block_frame_to_world(part, goals)) for part in (BAR, STEM)]
    covered = sum(shapely.area(shapely.intersection(a, b)) for a in parts for b in wanted)
    return np.asarray(covered / sum(shapely.area(part) for part in wanted), dtype=np.float64)


def covers_goal(states: ArrayLike, goals: ArrayLike) -> NDArray[np.bool_]:
    """Tells whether states [..., 7] cover goals [..., 7] by more than 95% (diffusion policy)."""
    state, goal = np.broadcast_arrays(np.asarray(states, float), np.asarray(goals, float))
    covers = _in_region(state, goal, slice(2, 4), _COVERING_DISTANCE, _COVERING_ANGLE)
    covers[covers] = coverage(state[covers], goal[covers]) > COVERED
    return covers


def are_tasks(starts: ArrayLike, goals: ArrayLike) -> NDArray[np.bool_]:
    """Tells which starts [..., 7] and goals [..., 7] ask for pushing and are not solved yet.

    The start is outside the goal region, and the block moves 20 px or turns pi / 9 between
    start and goal (docs/protocol.md).
    """
    start, goal = np.asarray(starts, dtype=np.float64), np.asarray(goals, dtype=np.float64)
    moved = np.linalg.norm(goal[..., 2:4] - start[..., 2:4], axis=-1) >= POSITION_TOLERANCE
    turned = wrapped_angle_error(goal[..., 4], start[..., 4]) >= ANGLE_TOLERANCE
    return np.asarray((moved | turned) & ~in_goal_region(start, goal))


def is_task(start: NDArray[np.float64], goal: NDArray[np.float64]) -> bool:
    """Tells whether a start [7] and goal [7] are a task; see `are_tasks`."""
    return bool(are_tasks(start, goal))
