"""A person pushes the block; the model follows blindly until it may look."""

import numpy as np
import pygame
import pytest
import torch

from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.window import Window
from grasp_bench.models import load_model
from grasp_bench.tasks import load_tasks
from grasp_bench.viewing.panels import panel_at
from grasp_bench.viewing.play import Game, Hand, handle, play

SIZE = 64


@pytest.fixture
def tasks():
    return load_tasks("tune", 20, 2).tasks


@pytest.fixture
def game(responsive_checkpoint, tasks):
    return Game(load_model(str(responsive_checkpoint)), tasks)


def test_the_agent_goes_where_it_is_sent_and_the_block_is_pushed(game):
    start = game.state
    for _ in range(60):
        game.act(game.state[2:4] + 60)  # somewhere beyond the block's origin
    assert np.linalg.norm(game.state[:2] - start[:2]) > 20
    for _ in range(30):
        game.act(start[:2])
    assert np.linalg.norm(game.state[:2] - start[:2]) < 30
    assert game.steps == 90


def test_without_a_target_the_agent_comes_to_rest(game):
    for _ in range(20):
        game.act(None)
    np.testing.assert_allclose(game.state[5:], 0, atol=1)


def test_the_model_makes_a_step_of_every_five_actions_and_sees_nothing(game, tasks):
    model = game._model
    latent = model.encode(PUSHT.observe(tasks[0].start_state[None], model.view))
    target = np.array([400.0, 100.0])
    actions = []
    for _ in range(5):
        np.testing.assert_array_equal(game._latent, latent)
        assert game.unseen_steps == 0
        actions.append(np.clip((target - game.state[:2]) / 100, -1, 1))
        game.act(target)
    stacked = model.normalise_actions(torch.from_numpy(np.stack(actions)).float())
    torch.testing.assert_close(game._latent, model.step(latent, stacked))
    assert game.unseen_steps == 5
    game.look()
    assert game.unseen_steps == 0
    torch.testing.assert_close(
        game._latent, model.encode(PUSHT.observe(game.state[None], model.view))
    )


def test_mouse_and_keys_are_understood(game, tasks):
    hand = Hand()
    left, top = panel_at(0, SIZE)

    def send(kind, **values):
        handle(pygame.event.Event(kind, **values), hand, game, SIZE)

    send(pygame.MOUSEMOTION, pos=(left + 32, top + 16))
    np.testing.assert_allclose(hand.target, [256, 128])
    send(pygame.MOUSEMOTION, pos=(left + SIZE + 20, top))
    assert hand.target is None
    send(pygame.KEYDOWN, key=pygame.K_n)
    assert game.task.id == tasks[1].id
    np.testing.assert_array_equal(game.state, tasks[1].start_state)
    send(pygame.KEYDOWN, key=pygame.K_n)
    assert game.task.id == tasks[0].id
    game.act(None)
    send(pygame.KEYDOWN, key=pygame.K_r)
    assert game.unseen_steps == 0
    send(pygame.KEYDOWN, key=pygame.K_x)
    assert not hand.closed
    send(pygame.KEYDOWN, key=pygame.K_ESCAPE)
    assert hand.closed


def test_a_scripted_mouse_plays_in_a_window(game, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pictures = []
    show = Window.show
    left, top = panel_at(0, SIZE)
    script = {
        1: pygame.event.Event(pygame.MOUSEMOTION, pos=(left + 60, top + 4)),
        8: pygame.event.Event(pygame.KEYDOWN, key=pygame.K_q),
    }

    def watched(window, picture):
        pictures.append(picture)
        window._fps = 1000
        show(window, picture)
        if len(pictures) in script:
            pygame.event.post(script[len(pictures)])

    monkeypatch.setattr(Window, "show", watched)
    start = game.state
    play(game, SIZE)
    assert len(pictures) == 8
    assert game.state[0] > start[0]
    assert not np.array_equal(pictures[0], pictures[-1])
    assert not pygame.display.get_init()


def test_the_picture_says_when_the_goal_is_reached(game, tasks):
    before = game.picture(SIZE)
    game._world.set_state(tasks[0].goal_state)
    assert not np.array_equal(before[-20:], game.picture(SIZE)[-20:])
    at_goal, success = game._stamp()
    assert success
    away = tasks[0].goal_state.copy()
    away[:2] = np.where(away[:2] > 256, 30.0, 480.0)
    game._world.set_state(away)
    assert game._stamp()[0] not in (at_goal, "")
