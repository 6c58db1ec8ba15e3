"""Simulates Push-T: a circular agent pushes a T-shaped block on a plane (pymunk).

The physics are those of diffusion-policy, gym-pusht and DINO-WM: 512 x 512 px, no gravity,
full damping, control at 10 Hz over ten physics substeps. One thing differs: setting a state
takes effect exactly, without a hidden physics step.

A state is 7 numbers: agent x, y (px), block x, y (px, the T's origin: the middle of the
bar's top edge in the block's frame), block angle (rad, unwrapped), agent vx, vy (px/s).
An action is 2 numbers in [-1, 1]: the agent's target relative to its position, in units
of 100 px.
"""

from __future__ import annotations

import math

import numpy as np
import pymunk
from numpy.typing import ArrayLike

from grasp_bench.core.types import FloatArray

WORKSPACE = 512.0
STATE_DIM = 7
ACTION_DIM = 2
ACTION_SCALE = 100.0
CONTROL_HZ = 10
SUBSTEPS = 10
SUBSTEP_SECONDS = 0.01
STIFFNESS = 100.0
DAMPING = 20.0

AGENT_RADIUS = 15.0
WALL_LOW, WALL_HIGH, WALL_RADIUS = 5.0, 506.0, 2.0

# Block frame, px: the bar spans y 0..30, the stem hangs below it, y 30..120.
BAR = ((-60.0, 30.0), (60.0, 30.0), (60.0, 0.0), (-60.0, 0.0))
STEM = ((-15.0, 30.0), (-15.0, 120.0), (15.0, 120.0), (15.0, 30.0))
CENTRE_OF_GRAVITY = (0.0, 45.0)


def _tee(space: pymunk.Space) -> pymunk.Body:
    # The original computes the stem's moment of inertia from the bar's vertices, too.
    body = pymunk.Body(1.0, 2.0 * pymunk.moment_for_poly(1.0, BAR))
    bar, stem = pymunk.Poly(body, BAR), pymunk.Poly(body, STEM)
    body.center_of_gravity = (bar.center_of_gravity + stem.center_of_gravity) / 2
    space.add(body, bar, stem)
    return body


class PushT:
    """Simulates one world with exact state access.

    Two worlds in the same state continue identically only if both were set to it. pymunk
    carries contact caches from step to step, so that a state reached by stepping holds more
    than its 7 numbers. Replays start from `PushT(state)`.
    """

    def __init__(self, state: ArrayLike) -> None:
        self._space = pymunk.Space()
        self._space.gravity = (0.0, 0.0)
        self._space.damping = 0.0
        low, high = WALL_LOW, WALL_HIGH
        corners = [(low, high), (low, low), (high, low), (high, high)]
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
            self._space.add(pymunk.Segment(self._space.static_body, a, b, WALL_RADIUS))
        self._agent = pymunk.Body(body_type=pymunk.Body.KINEMATIC)
        self._space.add(self._agent, pymunk.Circle(self._agent, AGENT_RADIUS))
        self._block = _tee(self._space)
        self._as_set: FloatArray | None = None
        self.set_state(state)

    def set_state(self, state: ArrayLike) -> None:
        """Sets the state [7]; `get_state` returns it bit for bit.

        Raises:
            ValueError: it is not 7 finite numbers.
        """
        values = np.array(state, dtype=np.float64)
        if values.shape != (STATE_DIM,) or not np.isfinite(values).all():
            raise ValueError(f"a Push-T state is {STATE_DIM} finite numbers, not {values!r}")
        agent_x, agent_y, block_x, block_y, angle, vx, vy = values.tolist()
        self._agent.position = (agent_x, agent_y)
        self._agent.velocity = (vx, vy)
        # The angle turns the block about its centre of gravity, so it goes before the position.
        self._block.angle = angle
        self._block.position = (block_x, block_y)
        self._block.velocity = (0.0, 0.0)
        self._block.angular_velocity = 0.0
        self._space.reindex_shapes_for_body(self._agent)
        self._space.reindex_shapes_for_body(self._block)
        # pymunk stores the centre of gravity, so reading the position back would round.
        self._as_set = values

    def get_state(self) -> FloatArray:
        """Returns the state [7]."""
        if self._as_set is not None:
            return self._as_set.copy()
        agent, block = self._agent, self._block
        return np.array([*agent.position, *block.position, block.angle, *agent.velocity])

    def step(self, action: ArrayLike) -> FloatArray:
        """Takes one control step of 0.1 s; returns the new state [7].

        Args:
            action: [2], clipped to [-1, 1].
        """
        action_x, action_y = np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0).tolist()
        space, agent, dt = self._space, self._agent, SUBSTEP_SECONDS
        position, velocity = agent.position, agent.velocity
        x, y, vx, vy = position.x, position.y, velocity.x, velocity.y
        target_x, target_y = x + ACTION_SCALE * action_x, y + ACTION_SCALE * action_y
        for _ in range(SUBSTEPS):
            vx += (STIFFNESS * (target_x - x) - DAMPING * vx) * dt
            vy += (STIFFNESS * (target_y - y) - DAMPING * vy) * dt
            agent.velocity = (vx, vy)
            space.step(dt)
            # A kinematic body moves by its velocity alone: reading it back would cost time only.
            x += vx * dt
            y += vy * dt
        self._as_set = None
        return self.get_state()


def rollout(start_states: ArrayLike, actions: ArrayLike) -> FloatArray:
    """Replays actions open loop, each row in a fresh simulator.

    Args:
        start_states: [B, 7].
        actions: [B, H, 2].

    Returns:
        States [B, H + 1, 7], the start included.

    Raises:
        ValueError: the shapes do not match.
    """
    starts = np.asarray(start_states, dtype=np.float64)
    plans = np.asarray(actions, dtype=np.float64)
    if starts.shape != (len(plans), STATE_DIM) or plans.shape[2:] != (ACTION_DIM,):
        raise ValueError(
            f"rollout takes states [B, 7] and actions [B, H, 2], not {starts.shape} "
            f"and {plans.shape}"
        )
    states = np.empty((len(plans), plans.shape[1] + 1, STATE_DIM))
    for row, (start, plan) in enumerate(zip(starts, plans, strict=True)):
        world = PushT(start)
        states[row, 0] = start
        for t, action in enumerate(plan):
            states[row, t + 1] = world.step(action)
    return states


def block_frame_to_world(points: ArrayLike, states: ArrayLike) -> FloatArray:
    """Maps points [N, 2] of the block's frame into workspace px [..., N, 2], by states [..., 7]."""
    x, y = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
    state = np.asarray(states, dtype=np.float64)[..., None, :]
    cos, sin = np.cos(state[..., 4]), np.sin(state[..., 4])
    return np.stack([state[..., 2] + cos * x - sin * y, state[..., 3] + sin * x + cos * y], axis=-1)


def distance_to_block(point: ArrayLike, state: ArrayLike) -> float:
    """Returns the distance (px) of a point [2] from the block of a state [7]; 0 inside."""
    px, py = np.asarray(point, dtype=np.float64).tolist()
    _, _, x, y, angle, _, _ = np.asarray(state, dtype=np.float64).tolist()
    cos, sin = math.cos(angle), math.sin(angle)
    local_x = cos * (px - x) + sin * (py - y)
    local_y = -sin * (px - x) + cos * (py - y)
    bar = math.hypot(max(abs(local_x) - 60.0, 0.0), max(-local_y, local_y - 30.0, 0.0))
    stem = math.hypot(max(abs(local_x) - 15.0, 0.0), max(30.0 - local_y, local_y - 120.0, 0.0))
    return min(bar, stem)
