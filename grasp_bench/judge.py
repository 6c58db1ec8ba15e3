"""Ground truth: a plan executed open loop in the simulator and held against the goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.goal import block_in_goal_region, in_goal_region, wrapped_angle_error
from envs.pusht import rollout
from grasp_bench.types import FloatArray, Task


@dataclass(frozen=True)
class Verdict:
    """What became of one executed plan.

    Attributes:
        success: in the goal region after some step within the horizon.
        success_final: in the goal region after the last step.
        success_block: the block alone in its goal region after the last step.
        block_distance: px between the block and its goal after the last step.
        block_angle_error: degrees between them, in [0, 180].
        final_state: [7] the state after the last step.
    """

    success: bool
    success_final: bool
    success_block: bool
    block_distance: float
    block_angle_error: float
    final_state: FloatArray


def execute(tasks: Sequence[Task], actions: FloatArray) -> list[Verdict]:
    """Execute one plan per task, each in a fresh simulator from the task's exact start.

    Args:
        tasks: B tasks of one horizon H.
        actions: [B, H, 2] environment actions.
    """
    states = rollout(np.stack([task.start_state for task in tasks]), actions)
    goals = np.stack([task.goal_state for task in tasks])
    final = states[:, -1]
    reached = np.any(in_goal_region(states[:, 1:], goals[:, None]), axis=1)
    reached_last = in_goal_region(final, goals)
    block_reached = block_in_goal_region(final, goals)
    distance = np.linalg.norm(final[:, 2:4] - goals[:, 2:4], axis=1)
    angle = np.degrees(wrapped_angle_error(final[:, 4], goals[:, 4]))
    return [
        Verdict(
            success=bool(reached[b]),
            success_final=bool(reached_last[b]),
            success_block=bool(block_reached[b]),
            block_distance=float(distance[b]),
            block_angle_error=float(angle[b]),
            final_state=final[b],
        )
        for b in range(len(tasks))
    ]
