"""Plays a clip in a window: frames in a loop that the keyboard controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from grasp_bench.envs.window import Window
from grasp_bench.viewing.pictures import Picture

KEYS = "space pauses, left and right step, home starts over, q or escape closes"


@dataclass(frozen=True)
class Position:
    """Says where the player is: a frame, and whether time passes or the window is to close."""

    frame: int = 0
    paused: bool = False
    closed: bool = False


def after_key(position: Position, key: int, frames: int) -> Position:
    """Returns the position after a pygame key was pressed."""
    import pygame

    if key in (pygame.K_q, pygame.K_ESCAPE):
        return replace(position, closed=True)
    if key == pygame.K_SPACE:
        return replace(position, paused=not position.paused)
    if key == pygame.K_HOME:
        return replace(position, frame=0)
    steps = {pygame.K_LEFT: -1, pygame.K_RIGHT: 1}
    if key in steps:
        return replace(position, frame=(position.frame + steps[key]) % frames, paused=True)
    return position


def show_clip(frames: Sequence[Picture], fps: float, caption: str) -> None:
    """Shows frames [height, width, 3] over and over until the window is closed."""
    import pygame

    height, width, _ = frames[0].shape
    position = Position()
    with Window(width, height, caption, fps) as window:
        while not position.closed:
            window.show(frames[position.frame])
            if not position.paused:
                position = replace(position, frame=(position.frame + 1) % len(frames))
            for event in window.events():
                if event.type == pygame.QUIT:
                    position = replace(position, closed=True)
                elif event.type == pygame.KEYDOWN:
                    position = after_key(position, event.key, len(frames))
