"""A clip in a window, driven by keys, on SDL's dummy screen."""

import numpy as np
import pygame
import pytest

from grasp_bench.envs.window import Window
from grasp_bench.viewing.player import Position, after_key, show_clip


@pytest.mark.parametrize(
    ("key", "position"),
    [
        (pygame.K_SPACE, Position(2, paused=True)),
        (pygame.K_RIGHT, Position(3, paused=True)),
        (pygame.K_LEFT, Position(1, paused=True)),
        (pygame.K_HOME, Position(0)),
        (pygame.K_q, Position(2, closed=True)),
        (pygame.K_ESCAPE, Position(2, closed=True)),
        (pygame.K_x, Position(2)),
    ],
)
def test_keys_move_the_player(key, position):
    assert after_key(Position(2), key, frames=5) == position


def test_stepping_wraps_around():
    assert after_key(Position(4), pygame.K_RIGHT, frames=5).frame == 0
    assert after_key(Position(0), pygame.K_LEFT, frames=5).frame == 4


def test_a_window_shows_the_frames_until_it_is_closed(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown = []
    show = Window.show

    def watched(window, picture):
        shown.append(int(picture[0, 0, 0]))
        show(window, picture)
        if len(shown) == 2:
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_SPACE))
        if len(shown) == 4:
            pygame.event.post(pygame.event.Event(pygame.QUIT))

    monkeypatch.setattr(Window, "show", watched)
    show_clip([np.full((20, 30, 3), k, dtype=np.uint8) for k in range(3)], 100, "clip")
    assert shown == [0, 1, 2, 2]
    assert not pygame.display.get_init()
