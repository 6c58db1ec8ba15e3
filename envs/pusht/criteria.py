"""Success criteria: the goal region of DINO-WM and GRASP, and a region of the block alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

POSITION_TOLERANCE = 20.0  # px
ANGLE_TOLERANCE = np.pi / 9


def wrapped_angle_error(angle: ArrayLike, goal: ArrayLike) -> NDArray[np.float64]:
    """Returns the absolute difference of angles (rad), wrapped to [0, pi]."""
    difference = np.asarray(angle, dtype=np.float64) - np.asarray(goal, dtype=np.float64)
    return np.abs((difference + np.pi) % (2 * np.pi) - np.pi)


def _in_region(states: ArrayLike, goals: ArrayLike, coordinates: slice) -> NDArray[np.bool_]:
    state, goal = np.asarray(states, dtype=np.float64), np.asarray(goals, dtype=np.float64)
    offset = state[..., coordinates] - goal[..., coordinates]
    near = np.linalg.norm(offset, axis=-1) < POSITION_TOLERANCE
    aligned = wrapped_angle_error(state[..., 4], goal[..., 4]) < ANGLE_TOLERANCE
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


def is_task(start: NDArray[np.float64], goal: NDArray[np.float64]) -> bool:
    """Tells whether a start [7] and goal [7] ask for pushing and are not solved at the start.

    The start is outside the goal region, and the block moves 20 px or turns pi / 9 between
    start and goal (docs/protocol.md).
    """
    moved = np.linalg.norm(goal[2:4] - start[2:4]) >= POSITION_TOLERANCE
    turned = wrapped_angle_error(goal[4], start[4]) >= ANGLE_TOLERANCE
    return bool((moved or turned) and not in_goal_region(start, goal))
