"""A second environment: a point that must go around a wall, and a tiny model of it."""

from typing import ClassVar

import numpy as np
import torch

from grasp_bench.core.types import Observation, Task, View
from grasp_bench.envs import PlanOutcome

STEP, RADIUS = 0.05, 0.06
WALL_X, WALL_TOP = 0.5, 0.6  # from y = 0 upwards; the way around it leads above


class PointWall:
    """A state is (x, y) in [0, 1]², an action a step of at most 0.05 in each direction."""

    name = "point-wall"
    title = "point and wall"
    state_dim = 2
    action_dim = 2
    action_limits = (-1.0, 1.0)
    control_hz = 10
    criteria: ClassVar = {
        "near": "within 0.06 of the goal at some step",
        "end": "after the last step",
    }
    distances: ClassVar = {"gap": "distance to the goal after the last step"}

    def observe(self, states, view):
        proprio = torch.from_numpy(np.asarray(states, dtype=np.float32))
        return Observation(torch.from_numpy(self.render(states, view.size)), proprio)

    def rollout(self, starts, actions):
        path = [np.asarray(starts, dtype=np.float64)]
        for action in np.moveaxis(np.clip(actions, -1, 1), 1, 0):
            before = path[-1]
            after = np.clip(before + STEP * action, 0, 1)
            crosses = (before[:, 0] - WALL_X) * (after[:, 0] - WALL_X) <= 0
            blocked = crosses & (np.minimum(before[:, 1], after[:, 1]) < WALL_TOP)
            after[blocked, 0] = before[blocked, 0]
            path.append(after)
        return np.stack(path, axis=1)

    def outcomes(self, states, goals):
        gaps = np.linalg.norm(states - goals[:, None], axis=-1)
        return [
            PlanOutcome(
                criteria={"near": bool((gap[1:] < RADIUS).any()), "end": bool(gap[-1] < RADIUS)},
                distances={"gap": float(gap[-1])},
                reached_at=int((gap[1:] < RADIUS).argmax()) + 1
                if (gap[1:] < RADIUS).any()
                else None,
                states=path,
            )
            for gap, path in zip(gaps, states, strict=True)
        ]

    def is_task(self, start, goal):
        return bool(np.linalg.norm(goal - start) > 0.2)

    def demonstrate(self, rng, steps):
        state = np.array([rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.5)])
        goal = np.array([rng.uniform(0.6, 0.9), rng.uniform(0.1, 0.5)])
        corners = [np.array([0.45, 0.75]), np.array([0.6, 0.75]), goal]
        states, actions = [state], []
        for _ in range(steps):
            if len(corners) > 1 and np.abs(corners[0] - states[-1]).max() < STEP:
                corners.pop(0)
            actions.append(np.clip((corners[0] - states[-1]) / STEP, -1, 1).astype(np.float32))
            states.append(self.rollout(states[-1][None], actions[-1][None, None])[0, -1])
        return np.stack(states), np.stack(actions).astype(np.float64)

    def render(self, states, size, goals=None):
        centres = (np.arange(size) + 0.5) / size
        x, y = np.meshgrid(centres, centres)
        count = len(goals if states is None else states)
        pictures = np.full((count, size, size, 3), 255, dtype=np.uint8)
        pictures[:, (np.abs(x - WALL_X) < 0.02) & (y < WALL_TOP)] = 90
        for points, colour in ((goals, (60, 180, 90)), (states, (40, 70, 200))):
            for picture, (px, py) in zip(
                pictures, points if points is not None else [], strict=False
            ):
                picture[(x - px) ** 2 + (y - py) ** 2 < 0.05**2] = colour
        return pictures


POINT_WALL = PointWall()


class Probe:
    """Reads the state off a latent that is the state."""

    def read(self, latents):
        return latents.double().numpy()


class PointModel(torch.nn.Module):
    """s' = s + 0.05 Σ a: a linear model that has not seen the wall."""

    frameskip, action_dim, latent_shape, view = 5, 10, (2,), View(16)
    probe = Probe()

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(STEP), requires_grad=False)

    def encode(self, observation):
        return observation.proprio

    def step(self, state, action):
        return state + self.gain * action.unflatten(-1, (5, 2)).sum(-2)

    def distance(self, state, goal):
        return (state - goal).square().mean(-1)

    def normalise_actions(self, actions):
        return actions.unflatten(-2, (-1, 5)).flatten(-2)

    def denormalise_actions(self, actions):
        return actions.unflatten(-1, (5, 2)).flatten(-3, -2)

    def decode(self, state):
        return torch.from_numpy(POINT_WALL.render(state.numpy(), 16))


def make_model(device):
    return PointModel().to(device)


def make_tasks(count, horizon):
    """Tasks whose demonstrations go around the wall."""
    tasks = []
    for number in range(count):
        states, actions = POINT_WALL.demonstrate(np.random.default_rng(number), horizon)
        goal = POINT_WALL.rollout(states[:1], actions[None])[0, -1]
        tasks.append(Task(f"point-wall-h{horizon}-{number:04d}", horizon, states[0], goal, actions))
    return tasks
