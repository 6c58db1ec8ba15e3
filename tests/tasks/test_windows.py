"""Windows of recordings: which are tasks, how they are counted, split, drawn and named."""

import numpy as np
import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.criteria import are_tasks
from grasp_bench.tasks.task_import import import_tasks
from grasp_bench.tasks.window_options import SHARES, WindowOptions
from grasp_bench.tasks.windows import count_windows, cut_windows, split_episodes, task_starts

# From the README of the data: starts, episodes, windows that share no step.
HUMAN_WINDOWS = {
    10: (8838, 206, 1106),
    20: (12882, 206, 840),
    25: (14360, 206, 740),
    30: (15321, 206, 654),
    40: (15424, 206, 503),
    50: (14200, 205, 398),
    60: (12467, 202, 316),
    70: (10628, 189, 252),
    80: (8842, 177, 203),
}


@pytest.mark.parametrize("horizon", HUMAN_WINDOWS)
def test_the_human_windows_are_as_many_as_counted_elsewhere(human, horizon):
    found = count_windows(human, split_episodes(len(human), "all"), horizon)
    assert (found.starts, found.episodes, found.apart) == HUMAN_WINDOWS[horizon]


def test_a_window_is_a_task_if_the_environment_says_so_and_no_action_is_beyond_1(recording):
    states, actions = recording.episode(1)
    actions = actions.copy()
    actions[50] = [0.1, -1.01]
    found = task_starts(states, actions, 20).tolist()
    expected = [
        start
        for start in range(len(states) - 20)
        if PUSHT.is_task(states[start], states[start + 20]) and not start <= 50 < start + 20
    ]
    assert 0 < len(found) < len(states) - 20
    assert found == expected
    assert task_starts(states, actions, len(states)).tolist() == []


def test_many_tasks_are_judged_as_one_by_one():
    rng = np.random.default_rng(0)
    starts = np.zeros((500, 7))
    goals = rng.normal(0, [60, 60, 15, 15, 0.3, 1, 1], (500, 7))
    expected = [PUSHT.is_task(start, goal) for start, goal in zip(starts, goals)]
    assert are_tasks(starts, goals).tolist() == expected
    assert 0 < sum(expected) < 500


@pytest.mark.parametrize("count", [1, 2, 7, 206, 1000])
def test_the_splits_share_no_episode_and_hold_them_all(count):
    parts = {name: split_episodes(count, name) for name in SHARES}
    together = [episode for part in parts.values() for episode in part]
    assert sorted(together) == list(range(count))
    assert together == split_episodes(count, "all")
    if count == 206:
        assert {name: len(part) for name, part in parts.items()} == {
            "eval": 124, "tune": 31, "train": 51,
        }  # fmt: skip
        assert parts["eval"][:3] == split_episodes(count, "all")[:3] != [0, 1, 2]


def test_tasks_hold_what_the_recording_holds_and_lead_to_their_goals(recording):
    options = WindowOptions((20, 30), split="all")
    tasks = cut_windows(recording, options, "mine")
    order = split_episodes(len(recording), "all")
    for horizon in (20, 30):
        own = [task for task in tasks if task.horizon == horizon]
        places = [order.index(int(task.id.split("-")[3][1:])) for task in own]
        assert places == sorted(set(places))
        for task in own:
            kind, name, h, episode, start = task.id.split("-")
            assert (kind, name, h) == ("pusht", "mine", f"h{horizon}")
            states, actions = recording.episode(int(episode[1:]))
            begin = int(start[1:])
            assert begin in task_starts(states, actions, horizon)
            np.testing.assert_array_equal(task.start_state, states[begin])
            np.testing.assert_array_equal(task.demo_actions, actions[begin : begin + horizon])
            reached = PUSHT.rollout(task.start_state[None], task.demo_actions[None])[0, -1]
            np.testing.assert_array_equal(task.goal_state, reached)
            assert PUSHT.is_task(task.start_state, task.goal_state)


def test_more_windows_of_an_episode_share_no_step_and_come_after_all_first_ones(recording):
    many = cut_windows(recording, WindowOptions((15,), windows=4, split="all"), "mine")
    once = cut_windows(recording, WindowOptions((15,), split="all"), "mine")
    assert [task.id for task in many[: len(once)]] == [task.id for task in once]
    assert len({task.id for task in many}) == len(many) > len(once)
    starts = {}
    for task in many:
        _, _, _, episode, start = task.id.split("-")
        starts.setdefault(episode, []).append(int(start[1:]))
    assert max(map(len, starts.values())) > 1
    for own in starts.values():
        assert all(abs(a - b) >= 15 for i, a in enumerate(own) for b in own[:i])


def test_a_horizon_s_tasks_do_not_depend_on_the_other_horizons_but_on_the_seed(recording):
    both = cut_windows(recording, WindowOptions((20, 30), split="all"), "mine")
    one = cut_windows(recording, WindowOptions((30,), split="all"), "mine")
    other = cut_windows(recording, WindowOptions((30,), split="all", seed=1), "mine")
    assert [task.id for task in both if task.horizon == 30] == [task.id for task in one]
    assert [task.id for task in one] != [task.id for task in other]


def test_the_same_recording_gives_the_same_bytes(recording, tmp_path):
    options = WindowOptions((20, 30), split="all")
    first = import_tasks(recording, options, "mine", tmp_path / "a.parquet")
    second = import_tasks(recording, options, "mine", tmp_path / "b.parquet")
    assert first == second
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert import_tasks(recording, options, "other", tmp_path / "c.parquet").sha256 != first.sha256


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"horizons": ()}, "increasing"),
        ({"horizons": (20, 10)}, "increasing"),
        ({"horizons": (10, 10)}, "increasing"),
        ({"horizons": (0, 10)}, "1 to 1000"),
        ({"horizons": (10**9,)}, "1 to 1000"),
        ({"horizons": tuple(range(1, 100))}, "99 horizons"),
        ({"horizons": (10,), "windows": 0}, "0 windows"),
        ({"horizons": (10,), "seed": -1}, "seed -1"),
    ],
)
def test_options_out_of_their_range_are_refused(options, named):
    with pytest.raises(UserError, match=named):
        WindowOptions(**options)


@pytest.mark.parametrize(("name", "named"), [("eval", "shipped"), ("a b", "'a b'"), ("..", "'..'")])
def test_a_name_that_no_new_set_can_have_is_refused(recording, tmp_path, name, named):
    with pytest.raises(UserError, match=named):
        import_tasks(recording, WindowOptions((20,)), name, tmp_path / "a.parquet")


def test_a_recording_without_any_task_is_refused(recording, tmp_path):
    with pytest.raises(UserError, match="no window"):
        import_tasks(recording, WindowOptions((500,)), "mine", tmp_path / "a.parquet")
    assert not (tmp_path / "a.parquet").exists()
