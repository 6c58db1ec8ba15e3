"""Push-T behind the environment protocol."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import FloatArray, Observation, View
from grasp_bench.envs.base import PlanOutcome
from grasp_bench.envs.pusht import demonstrator, simulator
from grasp_bench.envs.pusht.criteria import (
    block_held_strictly,
    block_in_goal_region,
    covers_goal,
    in_goal_region,
    is_task,
    wrapped_angle_error,
)
from grasp_bench.envs.pusht.render import render

PROPRIO_COLUMNS = (0, 1, 5, 6)  # agent x, y, vx, vy of a state
_OUT_OF_SIGHT = np.array([-1e5, -1e5, -1e5, -1e5, 0.0, 0.0, 0.0])


class PushTEnvironment:
    """Implements `grasp_bench.envs.Environment`; the criteria are DINO-WM's and GRASP's."""

    name: str = "pusht"
    title: str = "Push-T"
    state_dim: int = simulator.STATE_DIM
    action_dim: int = simulator.ACTION_DIM
    action_limits: tuple[float, float] | None = (-1.0, 1.0)
    control_hz: int = simulator.CONTROL_HZ
    criteria: Mapping[str, str] = {
        "within": "in the goal region at some step within the horizon",
        "final": "in the goal region after the last step",
        "block": "block alone in its goal region after the last step",
        "moderate": "20 px and 20° at some step (CLEAR-LeWM): the same region as within",
        "strict": "block within 10 px and 10° for three steps on end (CLEAR-LeWM)",
        "coverage": "block covers more than 95% of its goal at some step (diffusion policy)",
    }
    distances: Mapping[str, str] = {
        "block_distance": "px from the block to its goal after the last step",
        "block_angle_error": "degrees from the block to its goal after the last step",
    }
    rollout = staticmethod(simulator.rollout)
    is_task = staticmethod(is_task)
    demonstrate = staticmethod(demonstrator.demonstrate)

    def observe(self, states: FloatArray, view: View) -> Observation:
        """Draws states [B, 7] for a world model; proprioception is agent x, y, vx, vy."""
        import torch  # executing and judging plans needs none

        if view.style not in ("default", "pygame"):
            raise UserError(
                f"Push-T has no pictures of style '{view.style}': known: default, pygame"
            )
        rows = np.asarray(states, dtype=np.float64)
        proprio = torch.from_numpy(rows[:, PROPRIO_COLUMNS].astype(np.float32))
        if view.style == "default":
            return Observation(torch.from_numpy(render(rows, view.size)), proprio)
        from grasp_bench.envs.pusht.pygame_pictures import draw

        return Observation(torch.from_numpy(draw(rows, view.size)), proprio)

    def outcomes(self, states: FloatArray, goals: FloatArray) -> list[PlanOutcome]:
        """Judges executed plans, states [B, H + 1, 7], against goals [B, 7]."""
        final = states[:, -1]
        inside = in_goal_region(states[:, 1:], goals[:, None])
        block_reached = block_in_goal_region(final, goals)
        strict = block_held_strictly(states[:, 1:], goals)
        covered = np.any(covers_goal(states[:, 1:], goals[:, None]), axis=1)
        distance = np.linalg.norm(final[:, 2:4] - goals[:, 2:4], axis=1)
        angle = np.degrees(wrapped_angle_error(final[:, 4], goals[:, 4]))
        return [
            PlanOutcome(
                criteria={
                    "within": bool(inside[b].any()),
                    "final": bool(inside[b, -1]),
                    "block": bool(block_reached[b]),
                    "moderate": bool(inside[b].any()),  # 20 degrees are pi / 9
                    "strict": bool(strict[b]),
                    "coverage": bool(covered[b]),
                },
                distances={
                    "block_distance": float(distance[b]),
                    "block_angle_error": float(angle[b]),
                },
                reached_at=int(inside[b].argmax()) + 1 if inside[b].any() else None,
                states=states[b],
            )
            for b in range(len(states))
        ]

    def render(
        self, states: FloatArray | None, size: int, goals: FloatArray | None = None
    ) -> NDArray[np.uint8]:
        """Draws states [B, 7], the goals [B, 7] in green below them."""
        if states is None:
            assert goals is not None
            states = np.broadcast_to(_OUT_OF_SIGHT, goals.shape)
        return render(states, size, goals)


PUSHT = PushTEnvironment()
