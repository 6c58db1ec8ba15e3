"""Three panels in step: the plan's virtual states, the model's rollout, the simulator."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.render import GOAL_COLOUR, render
from grasp_bench.models.linear import LinearModel
from grasp_bench.viewing.panels import FAILURE_COLOUR, SUCCESS_COLOUR
from grasp_bench.viewing.pictures import card, decoded, drawn, fitted, font, over_goal
from grasp_bench.viewing.playback import HOLD_SECONDS, described, frames, playback

SIZE = 96
HELD = HOLD_SECONDS * PUSHT.control_hz  # pictures of the last step at the end


def shows(picture, colour):
    return bool((picture == np.array(colour, dtype=np.uint8)).all(axis=-1).any())


def test_the_demonstration_reaches_the_goal_and_is_stamped_so(make_plan):
    trial, again = make_plan("demo")
    view = playback(trial, again)
    assert again.outcome.success
    assert 1 <= view.reached_at <= 20
    assert view.outcome == described(again.outcome, again.cost)
    assert f" {view.reached_at};" in view.outcome
    np.testing.assert_array_equal(view.states[-1], again.outcome.states[-1])
    pictures = list(frames(view, SIZE))
    assert len(pictures) == 21 + round(HELD)
    stamped = [shows(picture, SUCCESS_COLOUR) for picture in pictures]
    assert stamped.index(True) == view.reached_at
    assert all(stamped[view.reached_at :])


def test_a_failure_is_stamped_at_its_end_alone(make_plan):
    trial, again = make_plan("zero")
    view = playback(trial, again)
    assert view.reached_at is None
    assert all(f"{value:.1f}" in view.outcome for value in again.outcome.distances.values())
    assert f"{again.cost:.2g}" in view.outcome
    pictures = list(frames(view, SIZE))
    assert [shows(picture, FAILURE_COLOUR) for picture in pictures[:21]] == [False] * 20 + [True]


def test_planners_without_virtual_states_say_so(make_plan):
    view = playback(*make_plan("cem", samples="16", elites="4"))
    assert view.virtual.startswith("cem ")
    assert next(frames(view, SIZE)).shape[2] == 3


def test_virtual_states_are_the_plans_own_behind_the_start(make_plan):
    trial, again = make_plan("grasp", sync_every="5", yield_every="5")
    view = playback(trial, again)
    assert view.virtual.shape == (4, 64, 64, 3)
    expected = decoded(trial.problem.model, again.virtual_states[1:2])
    np.testing.assert_array_equal(view.virtual[2], expected[0])
    assert view.rollout.shape == (5, 64, 64, 3)


def test_a_model_without_a_decoder_is_told_of(make_plan):
    trial, again = make_plan("zero")
    linear = LinearModel(torch.eye(4), torch.zeros(4, 10))
    observed = trial.problem.start[:, :4]
    problem = replace(trial.problem, model=linear, start=observed, goal=observed)
    view = playback(replace(trial, problem=problem), again)
    assert "'tiny'" in view.rollout
    assert next(frames(view, SIZE)).shape[2] == 3


def test_fewer_frames_still_end_with_the_last_step(make_plan):
    view = playback(*make_plan("demo"))
    few, all_of_them = list(frames(view, SIZE, every=7)), list(frames(view, SIZE))
    assert len(few) == 4 + round(HELD / 7)
    np.testing.assert_array_equal(few[-1], all_of_them[-1])


def test_the_goal_shines_through_where_nothing_stands_before_it():
    goal = np.array([100.0, 100.0, 300.0, 300.0, 0.5, 0.0, 0.0])
    white = np.full((1, 8, 8, 3), 255, dtype=np.uint8)
    dark = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    assert shows(over_goal(PUSHT, white, goal, SIZE), GOAL_COLOUR)
    assert not shows(over_goal(PUSHT, dark, goal, SIZE), GOAL_COLOUR)
    state = np.array([[50.0, 400.0, 150.0, 200.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(drawn(PUSHT, state, goal, SIZE), render(state, SIZE, goal[None]))


@pytest.mark.parametrize("width", [0, 40, 4000])
def test_words_are_cut_to_the_width_they_have(width):
    sentence = "grasp[action_lr=0.002, gd_steps=20, sync_every=10] on pusht-h80-0002"
    words = fitted(sentence, font(12), width)
    assert words == sentence or words.endswith("...")
    assert len(words) == 3 or font(12).getlength(words) <= width


def test_a_card_holds_a_sentence():
    assert card("a sentence that is longer than one line of the panel", SIZE).shape == (
        SIZE,
        SIZE,
        3,
    )
