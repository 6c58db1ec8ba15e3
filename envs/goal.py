"""The goal region of DINO-WM and GRASP, and the block-only region beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

POSITION_TOLERANCE = 20.0
ANGLE_TOLERANCE = np.pi / 9


def wrapped_angle_error(angle: ArrayLike, goal: ArrayLike) -> NDArray[np.float64]:
    """Absolute difference of angles (rad), wrapped to [0, pi]."""
    difference = np.asarray(angle, dtype=np.float64) - np.asarray(goal, dtype=np.float64)
    return np.abs((difference + np.pi) % (2 * np.pi) - np.pi)


def _in_region(states: ArrayLike, goals: ArrayLike, coordinates: slice) -> NDArray[np.bool_]:
    state, goal = np.asarray(states, dtype=np.float64), np.asarray(goals, dtype=np.float64)
    offset = state[..., coordinates] - goal[..., coordinates]
    near = np.linalg.norm(offset, axis=-1) < POSITION_TOLERANCE
    aligned = wrapped_angle_error(state[..., 4], goal[..., 4]) < ANGLE_TOLERANCE
    return np.asarray(near & aligned)


def in_goal_region(states: ArrayLike, goals: ArrayLike) -> NDArray[np.bool_]:
    """Whether states [..., 7] lie in the region of goals [..., 7].

    The Euclidean distance of (agent x, agent y, block x, block y) is below 20 px and the
    wrapped difference of the block's angle below pi / 9 (DINO-WM, GRASP).
    """
    return _in_region(states, goals, slice(0, 4))


def block_in_goal_region(states: ArrayLike, goals: ArrayLike) -> NDArray[np.bool_]:
    """As `in_goal_region`, but only the block counts: 20 px and pi / 9, agent ignored."""
    return _in_region(states, goals, slice(2, 4))
