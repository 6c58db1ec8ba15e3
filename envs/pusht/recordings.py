"""Completes recordings of Push-T that hold no velocities of the agent.

The agent is a kinematic body: nothing that it touches slows it down. Its velocity follows from
its targets and the PD controller alone, and a recorded episode begins at rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grasp_bench.core.types import FloatArray
from grasp_bench.envs.pusht.simulator import (
    ACTION_SCALE,
    DAMPING,
    STIFFNESS,
    SUBSTEP_SECONDS,
    SUBSTEPS,
)

# A recording's agent may be this far from where the controller takes it, px. Recordings in
# 32-bit floats are 1.5e-5 px away.
CONTROLLER_TOLERANCE = 0.1


def control(position: float, velocity: float, target: float) -> tuple[float, float]:
    """Moves one coordinate of the agent (px, px/s) for one control step of 0.1 s.

    Rounds as `PushT.step` does.
    """
    for _ in range(SUBSTEPS):
        velocity += (STIFFNESS * (target - position) - DAMPING * velocity) * SUBSTEP_SECONDS
        position += velocity * SUBSTEP_SECONDS
    return position, velocity


def follow_targets(start: ArrayLike, targets: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Runs the PD controller from rest.

    Args:
        start: [2] the agent's position, px.
        targets: [T, 2] absolute, px.

    Returns:
        Positions [T + 1, 2] (px) and velocities [T + 1, 2] (px/s), the start included.
    """
    goals = np.asarray(targets, dtype=np.float64)
    positions, velocities = np.zeros((2, len(goals) + 1, 2))
    positions[0] = start
    for axis in range(2):
        at, speed = float(positions[0, axis]), 0.0
        for t, target in enumerate(goals[:, axis].tolist()):
            at, speed = control(at, speed, target)
            positions[t + 1, axis], velocities[t + 1, axis] = at, speed
    return positions, velocities


def absolute_targets(agent: ArrayLike, actions: ArrayLike) -> FloatArray:
    """Returns the targets [T, 2] (px) of relative actions [T, 2] at agent positions [T, 2]."""
    targets: FloatArray = np.asarray(agent, float) + ACTION_SCALE * np.asarray(actions, float)
    return targets


def relative_actions(agent: ArrayLike, targets: ArrayLike) -> NDArray[np.float32]:
    """Returns actions [T, 2] in units of 100 px that lead an agent [T, 2] (px) to its targets."""
    offset = np.asarray(targets, dtype=np.float64) - np.asarray(agent, dtype=np.float64)
    return (offset / ACTION_SCALE).astype(np.float32)


def complete_states(poses: ArrayLike, targets: ArrayLike) -> tuple[FloatArray, NDArray[np.float32]]:
    """Adds the agent's velocities to one episode, and makes its actions relative.

    Args:
        poses: [T, 5] agent x, y, block x, y (px), block angle (rad); row t is before target t.
        targets: [T, 2] of the agent, px; `absolute_targets` makes them from relative actions.

    Returns:
        States [T, 7] and relative actions [T, 2] in units of 100 px.

    Raises:
        ValueError: the recorded agent does not go where the controller takes it.
    """
    recorded = np.asarray(poses, dtype=np.float64)
    agent = recorded[:, :2]
    positions, velocities = follow_targets(agent[0], np.asarray(targets)[:-1])
    away = float(np.abs(positions - agent).max())
    if not away <= CONTROLLER_TOLERANCE:
        raise ValueError(
            f"the agent is up to {away:.3g} px from where Push-T's controller takes it from rest"
        )
    return np.concatenate([recorded, velocities], axis=1), relative_actions(agent, targets)
