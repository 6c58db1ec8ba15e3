"""Ranking, smoothness, open-loop error and tasks, on models whose answer is known."""

import numpy as np
import pytest
import torch

from grasp_bench.core.errors import UserError
from grasp_bench.diagnostics.held_out_tasks import HeldOutTasks, cut_tasks
from grasp_bench.diagnostics.open_loop_error import measure_open_loop
from grasp_bench.diagnostics.ranking import ActionStatistics, alternative_plans, rank_demonstrations
from grasp_bench.diagnostics.smoothness import measure_smoothness, straight_path
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.models.linear import LinearModel


def linear(control=0.0):
    generator = torch.Generator().manual_seed(2)
    return LinearModel(torch.eye(4), control * torch.randn(4, 10, generator=generator))


def test_tasks_are_replayable_and_ask_for_pushing(held_out):
    tasks = cut_tasks(linear(), held_out, 80, 6, seed=1)
    assert len(set(tasks.episodes)) == len(tasks) == 6
    ends = PUSHT.rollout(tasks.start_states, tasks.actions)[:, -1]
    np.testing.assert_array_equal(ends, tasks.goal_states)
    assert all(map(PUSHT.is_task, tasks.start_states, tasks.goal_states))
    again = cut_tasks(linear(), held_out, 80, 6, seed=1)
    np.testing.assert_array_equal(again.episodes, tasks.episodes)


@pytest.mark.parametrize(
    ("horizon", "count", "sentence"),
    [(42, 1, "multiple of"), (105, 1, "100 steps long"), (80, 25, "25 tasks asked for")],
)
def test_tasks_that_cannot_be_cut_are_refused(held_out, horizon, count, sentence):
    with pytest.raises(UserError, match=sentence):
        cut_tasks(linear(), held_out, horizon, count, seed=0)


def optimal_tasks(model, held_out):
    """Tasks whose demonstrations are the model's own optimal plans."""
    tasks = cut_tasks(model, held_out, 80, 3, seed=0)
    start = tasks.start / 1000
    goal = start + 0.1 * torch.randn(3, 4, generator=torch.Generator().manual_seed(3))
    plans = model.denormalise_actions(model.optimum(start, goal, 16)).double().numpy()
    return HeldOutTasks(tasks.start_states, tasks.goal_states, plans, tasks.episodes, start, goal)


def test_an_optimal_plan_beats_everything(train, held_out):
    model = linear(control=1.0)
    ranking = rank_demonstrations(
        model, optimal_tasks(model, held_out), train, held_out, alternatives=100, seed=0
    )
    report = ranking.to_json()
    assert report["all"] == {
        "plans": 100, "beaten_mean": 1.0, "beaten_median": 1.0, "tasks_beating_95": 1.0
    }  # fmt: skip
    assert sum(row["plans"] for kind, row in report.items() if kind != "all") == 100


def test_a_model_deaf_to_actions_ranks_the_plan_in_the_middle(train, held_out):
    tasks = cut_tasks(linear(), held_out, 80, 2, seed=0)
    ranking = rank_demonstrations(linear(), tasks, train, held_out, alternatives=60, seed=0)
    assert {row["beaten_mean"] for row in ranking.to_json().values()} == {0.5}


def test_alternatives_never_hold_the_tasks_own_episode_and_grow_with_the_noise(train, held_out):
    tasks = cut_tasks(linear(), held_out, 80, 1, seed=0)
    statistics = ActionStatistics.of(train.actions.astype(np.float64))
    plans = alternative_plans(tasks, 0, held_out, statistics, 1_000, np.random.default_rng(0))
    assert {len(part) for part in plans.values()} == {250, 100}
    own = held_out.actions[tasks.episodes[0]].astype(np.float64)
    windows = [own[i : i + 80] for i in range(21)]
    for plan in plans["other episodes"][:50]:
        assert not any(np.array_equal(plan, window) for window in windows)
    near = [part for kind, part in plans.items() if kind.startswith("demonstration")]
    sizes = [np.abs(part - tasks.actions[0]).mean() for part in near]
    assert sizes == sorted(sizes)


def test_random_plans_have_the_datas_statistics(train):
    statistics = ActionStatistics.of(train.actions.astype(np.float64))
    drawn = ActionStatistics.of(statistics.sample(2_000, 80, np.random.default_rng(0)))
    np.testing.assert_allclose(drawn.mean, statistics.mean, atol=0.01)
    np.testing.assert_allclose(drawn.std, statistics.std, rtol=0.05)
    assert drawn.memory == pytest.approx(statistics.memory, abs=0.03)


def test_the_cost_of_a_latent_that_is_the_agent_falls_as_the_agent_moves(held_out):
    model = linear()
    smoothness = measure_smoothness(model, cut_tasks(model, held_out, 80, 3, seed=0), points=9)
    report = smoothness.to_json()
    assert report["agent"]["falling_steps_mean"] == 1.0
    assert report["agent"]["spearman_mean"] == 1.0
    assert report["angle"] == {
        "falling_steps_mean": 0.0, "spearman_mean": 0.0, "spearman_median": 0.0
    }  # fmt: skip
    way = np.linspace(0, 1, 9)
    np.testing.assert_allclose(smoothness.relative("agent"), [(1 - way) ** 2] * 3, atol=1e-4)


def test_a_straight_path_turns_the_shorter_way_and_moves_only_what_it_should():
    start, goal = np.zeros((1, 7)), np.arange(7.0)[None]
    start[0, 4], goal[0, 4] = 3.0, -3.0
    path = straight_path(start, goal, (4,), 3)[0]
    np.testing.assert_allclose(path[:, 4], [-3.0 - (2 * np.pi - 6), -6.0 + 3.0 - np.pi + 3, -3.0])
    np.testing.assert_array_equal(np.delete(path, 4, axis=1), np.delete(goal, 4, axis=1)[[0] * 3])
    np.testing.assert_allclose(straight_path(start, goal, tuple(range(7)), 2)[0, 0, :4], 0.0)


class AgentReader:
    """Reads the agent off the latent of `linear`; says nothing of the block."""

    def read(self, latents):
        return np.concatenate([latents[:, :2].double().numpy(), np.zeros((len(latents), 3))], 1)


def test_a_model_where_nothing_moves_is_the_copy_floor(held_out):
    report = measure_open_loop(linear(), AgentReader(), held_out, 10)
    assert list(report) == ["1", "4", "8", "12", "16"]
    for errors in report.values():
        assert errors["agent_px_median"] == errors["copy_agent_px_median"] > 0
