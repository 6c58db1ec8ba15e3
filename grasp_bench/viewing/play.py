"""Lets a person push Push-T's block, and shows beside it what the model expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from grasp_bench.core.types import FloatArray, Task
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.criteria import block_in_goal_region, in_goal_region
from grasp_bench.envs.pusht.simulator import ACTION_SCALE, CONTROL_HZ, WORKSPACE, PushT
from grasp_bench.envs.window import Window
from grasp_bench.models import LoadedModel
from grasp_bench.viewing.panels import Panel, composed, panel_at
from grasp_bench.viewing.pictures import Picture, card, decoded, drawn, over_goal

KEYS = "the agent follows the mouse; r: the model looks again, n: next task, q or escape: close"


class Game:
    """Holds a simulator that a person drives, and the model's blind rollout of the same actions.

    The model sees the start, then only the actions, `frameskip` of them to a step, until
    `look` shows it the simulator again.
    """

    def __init__(self, model: LoadedModel, tasks: Sequence[Task]) -> None:
        self._loaded, self._model = model, model.model
        self._tasks = tasks
        self._number = -1
        self.next_task()

    @property
    def task(self) -> Task:
        """The task that gives start and goal."""
        return self._tasks[self._number % len(self._tasks)]

    @property
    def state(self) -> FloatArray:
        """The simulator's state [7]."""
        return self._world.get_state()

    def next_task(self) -> None:
        """Goes to the next task's start."""
        self._number += 1
        self._world = PushT(self.task.start_state)
        self.steps = 0
        self.look()

    def look(self) -> None:
        """Shows the model the simulator's state."""
        with torch.no_grad():
            self._latent = self._model.encode(PUSHT.observe(self.state[None], self._model.view))
        self._pending: list[FloatArray] = []
        self.unseen_steps = 0

    def act(self, target: FloatArray | None) -> None:
        """Moves the agent for one step towards a point [2] (px), or leaves it where it is."""
        towards = np.zeros(2) if target is None else target - self.state[:2]
        action = np.clip(towards / ACTION_SCALE, -1, 1)
        self._world.step(action)
        self.steps += 1
        self._pending.append(action)
        if len(self._pending) == self._model.frameskip:
            stacked = torch.from_numpy(np.stack(self._pending)).to(self._latent)
            with torch.no_grad():
                normalised = self._model.normalise_actions(stacked)
                self._latent = self._model.step(self._latent, normalised)
            self._pending = []
            self.unseen_steps += self._model.frameskip

    def picture(self, size: int) -> Picture:
        """Draws both panels, [height, width, 3]; `size` is a panel's."""
        goal = self.task.goal_state
        seen = decoded(self._model, self._latent)
        expected = (
            card(f"the world model '{self._loaded.name}' has no decoder", size)
            if seen is None
            else over_goal(PUSHT, seen, goal, size)[0]
        )
        panels = [
            Panel(f"simulator: step {self.steps}", drawn(PUSHT, self.state[None], goal, size)[0]),
            Panel(f"model: blind for {self.unseen_steps} steps", expected),
        ]
        return composed(f"{self.task.id}, model {self._loaded.name}", panels, *self._stamp())

    def _stamp(self) -> tuple[str, bool]:
        if in_goal_region(self.state, self.task.goal_state):
            return "block and agent in the goal region", True
        if block_in_goal_region(self.state, self.task.goal_state):
            return "block in its goal region: bring the agent to the green circle", True
        return "", False


@dataclass
class Hand:
    """Holds what the person asks for: where to go (px of the workspace), and to stop."""

    target: FloatArray | None = None
    closed: bool = False


def handle(event: Any, hand: Hand, game: Game, size: int) -> None:
    """Takes one pygame event into account."""
    import pygame

    if event.type == pygame.QUIT:
        hand.closed = True
    elif event.type == pygame.MOUSEMOTION:
        left, top = panel_at(0, size)
        place = (np.array(event.pos, dtype=np.float64) - (left, top)) * (WORKSPACE / size)
        inside = bool(np.all((place >= 0) & (place < WORKSPACE)))
        hand.target = place if inside else None
    elif event.type == pygame.KEYDOWN:
        if event.key in (pygame.K_q, pygame.K_ESCAPE):
            hand.closed = True
        elif event.key == pygame.K_r:
            game.look()
        elif event.key == pygame.K_n:
            game.next_task()


def play(game: Game, size: int = 448) -> None:
    """Plays in a window, in real time, until it is closed."""
    hand = Hand()
    height, width, _ = game.picture(size).shape
    with Window(width, height, "Push-T and its world model", CONTROL_HZ) as window:
        while not hand.closed:
            window.show(game.picture(size))
            for event in window.events():
                handle(event, hand, game, size)
            game.act(hand.target)
