"""A scripted demonstrator that walks round the block and pushes its faces.

It knows the simulator's state and aims for variety, not for a goal. Pushes start at random
places of the outline, lean away from the face's normal and last for random distances, so that
the block slides and turns. Every action carries smooth noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from grasp_bench.core.types import FloatArray
from grasp_bench.envs.pusht.simulator import (
    ACTION_SCALE,
    AGENT_RADIUS,
    BAR,
    CENTRE_OF_GRAVITY,
    WORKSPACE,
    PushT,
    distance_to_block,
)

# The block's outline, px in its frame: corners, and (start, end) edges whose outward normals
# lie to the left of start -> end in image coordinates.
_CORNERS = (
    *((-60.0, 0.0), (60.0, 0.0), (60.0, 30.0), (15.0, 30.0)),
    *((15.0, 120.0), (-15.0, 120.0), (-15.0, 30.0), (-60.0, 30.0)),
)
_OUTLINE = tuple(zip(_CORNERS, _CORNERS[1:] + _CORNERS[:1], strict=True))
_EDGE_LENGTHS = np.array([math.dist(a, b) for a, b in _OUTLINE])
_CLEARANCE = 95.0 + AGENT_RADIUS  # from the centre of gravity, free of the block at any angle
_MARGIN = 60.0  # the centre of gravity is kept this far from the walls where possible


@dataclass(frozen=True)
class Style:
    """Holds how a demonstrator moves.

    Attributes:
        speed: mean length of an action, in units of 100 px.
        noise: stationary standard deviation of the smooth noise on each action.
        noise_memory: its correlation from one action to the next.
        push_distance: shortest and longest push, px.
        lean: standard deviation of a push's direction around the inward normal, rad.
        wander: share of legs that go to a random place and push nothing.
    """

    speed: float = 0.32
    noise: float = 0.06
    noise_memory: float = 0.8
    push_distance: tuple[float, float] = (40.0, 160.0)
    lean: float = 0.35
    wander: float = 0.1


@dataclass
class _Leg:
    """Holds one purpose: to reach `approach`, then to push along `direction`, if given."""

    approach: tuple[float, float]
    direction: tuple[float, float] | None
    distance: float
    speed: float
    pushing: bool = False
    travelled: float = 0.0
    age: int = 0


class Demonstrator:
    """Chooses actions in one world; all randomness comes from `rng`."""

    def __init__(self, rng: np.random.Generator, style: Style | None = None) -> None:
        self._rng = rng
        self._style = style or Style()
        self._noise = np.zeros(2)
        self._leg: _Leg | None = None

    def act(self, state: FloatArray) -> FloatArray:
        """Returns the action [2], in [-1, 1], for a state [7]."""
        style, rng = self._style, self._rng
        x, y = float(state[0]), float(state[1])
        if self._leg is None or self._is_over(self._leg):
            self._leg = self._choose_leg(state)
        leg = self._leg
        leg.age += 1
        if leg.direction is not None and leg.pushing:
            dx, dy = leg.direction
            leg.travelled += float(math.hypot(state[5], state[6])) * 0.1
            reach = leg.speed
        else:
            target_x, target_y = self._detour(state, leg.approach)
            dx, dy = target_x - x, target_y - y
            length = max(math.hypot(dx, dy), 1e-6)
            dx, dy = dx / length, dy / length
            reach = min(leg.speed, 1.5 * length / ACTION_SCALE)
            if math.dist((x, y), leg.approach) < 12.0:
                leg.pushing = True
        keep, fresh = style.noise_memory, rng.normal(0.0, style.noise, 2)
        self._noise = keep * self._noise + math.sqrt(1 - keep * keep) * fresh
        action = np.array([dx * reach, dy * reach]) + self._noise
        return np.clip(self._stay_inside(state, action), -1.0, 1.0)

    def _is_over(self, leg: _Leg) -> bool:
        if leg.direction is None:
            return leg.pushing or leg.age > 30
        return leg.travelled > leg.distance or leg.age > 60

    def _choose_leg(self, state: FloatArray) -> _Leg:
        rng, style = self._rng, self._style
        speed = style.speed * float(rng.uniform(0.6, 1.4))
        low, high = AGENT_RADIUS + 10.0, WORKSPACE - AGENT_RADIUS - 10.0
        if rng.random() < style.wander:
            place = (float(rng.uniform(low, high)), float(rng.uniform(low, high)))
            return _Leg(place, None, 0.0, speed)
        best: tuple[float, _Leg] | None = None
        for _ in range(8):
            leg, block_end = self._random_push(state, speed)
            # Counts how far block or agent would leave the free area.
            excess = sum(
                max(0.0, _MARGIN + 30.0 - c, c - (WORKSPACE - _MARGIN - 30.0)) for c in block_end
            ) + 2.0 * sum(max(0.0, low - c, c - high) for c in leg.approach)
            if best is None or excess < best[0]:
                best = (excess, leg)
            if excess == 0.0:
                break
        assert best is not None
        return best[1]

    def _random_push(self, state: FloatArray, speed: float) -> tuple[_Leg, tuple[float, float]]:
        rng, style = self._rng, self._style
        edge = int(rng.choice(len(_OUTLINE), p=_EDGE_LENGTHS / _EDGE_LENGTHS.sum()))
        (ax, ay), (bx, by) = _OUTLINE[edge]
        along = float(rng.uniform(0.05, 0.95))
        normal = math.atan2(-(bx - ax), by - ay)
        angle = float(state[4])
        local = (ax + along * (bx - ax), ay + along * (by - ay))
        contact = _to_world(local, state)
        outward = angle + normal
        gap = AGENT_RADIUS + float(rng.uniform(8.0, 25.0))
        approach = _moved(contact, gap, outward)
        heading = outward + math.pi + float(rng.normal(0.0, style.lean))
        direction = (math.cos(heading), math.sin(heading))
        distance = float(rng.uniform(*style.push_distance))
        end = _moved(_to_world(CENTRE_OF_GRAVITY, state), distance, heading)
        return _Leg(approach, direction, distance + gap, speed), end

    def _detour(self, state: FloatArray, goal: tuple[float, float]) -> tuple[float, float]:
        """Returns the next point of a way to `goal` that does not touch the block."""
        centre = _to_world(CENTRE_OF_GRAVITY, state)
        x, y = float(state[0]), float(state[1])
        if not _crosses((x, y), goal, state):
            return goal
        here = math.atan2(y - centre[1], x - centre[0])
        there = math.atan2(goal[1] - centre[1], goal[0] - centre[0])
        turn = (there - here + math.pi) % (2 * math.pi) - math.pi
        step = math.copysign(min(abs(turn), 0.7), turn)
        radius = max(_CLEARANCE, min(math.dist((x, y), centre), _CLEARANCE + 20.0))
        return _moved(centre, radius, here + step)

    def _stay_inside(self, state: FloatArray, action: FloatArray) -> FloatArray:
        low, high = AGENT_RADIUS + 8.0, WORKSPACE - AGENT_RADIUS - 8.0
        target = state[:2] + ACTION_SCALE * action + 0.15 * state[5:7]
        inside = np.clip(target, low, high)
        if (inside != target).any() and self._leg is not None and self._leg.pushing:
            self._leg.travelled += 20.0  # a push against the wall ends soon
        return np.asarray((inside - state[:2] - 0.15 * state[5:7]) / ACTION_SCALE)


def _moved(point: tuple[float, float], distance: float, angle: float) -> tuple[float, float]:
    return point[0] + distance * math.cos(angle), point[1] + distance * math.sin(angle)


def _to_world(point: tuple[float, float], state: FloatArray) -> tuple[float, float]:
    cos, sin = math.cos(state[4]), math.sin(state[4])
    return (
        float(state[2]) + cos * point[0] - sin * point[1],
        float(state[3]) + sin * point[0] + cos * point[1],
    )


def _crosses(a: tuple[float, float], b: tuple[float, float], state: FloatArray) -> bool:
    steps = max(2, int(math.dist(a, b) / 12.0))
    return any(
        distance_to_block(
            (a[0] + (b[0] - a[0]) * i / steps, a[1] + (b[1] - a[1]) * i / steps), state
        )
        < AGENT_RADIUS + 3.0
        for i in range(1, steps)
    )


def sample_start(rng: np.random.Generator) -> FloatArray:
    """Samples a state [7] at rest: the block inside at any angle, the agent clear of it."""
    corners = np.array([*BAR, (-15.0, 120.0), (15.0, 120.0)])
    while True:
        state = np.zeros(7)
        state[:2] = rng.uniform(50.0, 450.0, 2)
        state[2:4] = rng.uniform(100.0, 400.0, 2)
        state[4] = rng.uniform(-np.pi, np.pi)
        outline = np.array([_to_world((x, y), state) for x, y in corners.tolist()])
        inside = (outline > 12.0).all() and (outline < WORKSPACE - 12.0).all()
        if inside and distance_to_block(state[:2], state) > AGENT_RADIUS + 2.0:
            return state


def demonstrate(
    rng: np.random.Generator, steps: int, style: Style | None = None
) -> tuple[FloatArray, FloatArray]:
    """Makes one demonstration from a random start.

    Returns:
        States [steps + 1, 7] and actions [steps, 2].
    """
    state = sample_start(rng)
    world, demonstrator = PushT(state), Demonstrator(rng, style)
    states, actions = np.empty((steps + 1, 7)), np.empty((steps, 2))
    states[0] = state
    for t in range(steps):
        # Rounded to what a dataset stores, so that a stored demonstration replays exactly.
        actions[t] = demonstrator.act(states[t]).astype(np.float32)
        states[t + 1] = world.step(actions[t])
    return states, actions
