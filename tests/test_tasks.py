import hashlib

import numpy as np
import pytest

from envs.goal import in_goal_region
from envs.pusht import rollout
from grasp_bench.errors import UserError
from grasp_bench.tasks import (
    HORIZONS,
    TASK_SHA256,
    TASKS_PER_HORIZON,
    is_task,
    load_tasks,
    make_tasks,
    task_file,
)


def replayed_ends(tasks):
    starts = np.stack([task.start_state for task in tasks])
    return rollout(starts, np.stack([task.demo_actions for task in tasks]))[:, -1]


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_demonstration_reaches_the_goal_exactly_in_every_evaluation_task(horizon):
    tasks = load_tasks("eval", horizon).tasks
    assert len(tasks) == 500
    goals = np.stack([task.goal_state for task in tasks])
    np.testing.assert_array_equal(replayed_ends(tasks), goals)


@pytest.mark.parametrize("split", ["eval", "tune"])
def test_every_task_asks_for_pushing(split):
    for horizon in HORIZONS:
        for task in load_tasks(split, horizon).tasks:
            assert is_task(task.start_state, task.goal_state)
            assert not in_goal_region(task.start_state, task.goal_state)


def test_what_is_not_a_task():
    start = np.array([100.0, 100.0, 250.0, 250.0, 0.0, 0.0, 0.0])
    assert not is_task(start, start)
    assert not is_task(start, start + [200, 0, 15, 0, 0.2, 0, 0])
    assert is_task(start, start + [200, 0, 25, 0, 0, 0, 0])
    assert is_task(start, start + [200, 0, 0, 0, 0.4, 0, 0])


def test_ids_are_stable_and_unique_and_smaller_runs_are_subsets():
    ids = [task.id for h in HORIZONS for task in load_tasks("eval", h).tasks]
    assert len(set(ids)) == 500 * len(HORIZONS)
    first = load_tasks("eval", 80, 43).tasks
    assert first[42].id == "pusht-h80-0042"
    assert [t.id for t in load_tasks("eval", 80, 10).tasks] == [t.id for t in first[:10]]


def test_tuning_and_evaluation_tasks_share_no_start():
    starts = {
        split: {t.start_state.tobytes() for h in HORIZONS for t in load_tasks(split, h).tasks}
        for split in ("eval", "tune")
    }
    assert not starts["eval"] & starts["tune"]


@pytest.mark.parametrize("split", ["eval", "tune"])
def test_the_shipped_task_sets_are_the_frozen_ones(split):
    assert hashlib.sha256(task_file(split).read_bytes()).hexdigest() == TASK_SHA256[split]
    assert load_tasks(split, 40, 1).sha256 == TASK_SHA256[split]


@pytest.mark.parametrize(
    ("horizon", "count", "message"),
    [(45, 1, "no tasks of horizon 45"), (40, 501, "1 to 500"), (40, 0, "1 to 500")],
)
def test_what_is_not_there_is_refused_in_a_sentence(horizon, count, message):
    with pytest.raises(UserError, match=message):
        load_tasks("eval", horizon, count)


@pytest.mark.slow
def test_the_shipped_task_sets_are_what_the_command_makes(tmp_path):
    for split in TASKS_PER_HORIZON:
        make_tasks(split, tmp_path / "tasks.parquet")
        assert (tmp_path / "tasks.parquet").read_bytes() == task_file(split).read_bytes()
