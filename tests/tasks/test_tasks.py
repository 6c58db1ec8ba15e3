"""Frozen task sets, and task files of a user's own."""

import hashlib
import math
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.envs.pusht.criteria import in_goal_region, is_task
from grasp_bench.envs.pusht.simulator import rollout
from grasp_bench.tasks.task_set import SHIPPED, load_tasks, make_tasks, write_tasks

HORIZONS = SHIPPED["eval"].horizons


def replayed_ends(tasks):
    starts = np.stack([task.start_state for task in tasks])
    return rollout(starts, np.stack([task.demo_actions for task in tasks]))[:, -1]


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_demonstration_reaches_the_goal_exactly_in_every_fifth_evaluation_task(horizon):
    tasks = load_tasks("eval", horizon).tasks
    assert len(tasks) == 500
    tasks = tasks[::5]
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
    shipped = SHIPPED[split]
    assert hashlib.sha256(shipped.path.read_bytes()).hexdigest() == shipped.sha256
    assert load_tasks(split, 40, 1).sha256 == shipped.sha256


@pytest.mark.parametrize(
    ("horizon", "count", "named"), [(45, 1, "45"), (40, 501, "501.*500"), (40, 0, "0.*500")]
)
def test_what_is_not_there_is_refused_in_a_sentence(horizon, count, named):
    with pytest.raises(UserError, match=named):
        load_tasks("eval", horizon, count)


@pytest.fixture
def own_tasks(tmp_path):
    """Tasks of two horizons in a file, and what `write_tasks` returned."""
    chosen = [
        replace(task, id=f"mine-{task.id}")
        for h in (20, 10)
        for task in load_tasks("eval", h, 3).tasks
    ]
    path = tmp_path / "mine.parquet"
    return path, chosen, write_tasks(path, "pusht", chosen)


def test_tasks_written_to_a_file_come_back_by_horizon(own_tasks):
    path, chosen, sha256 = own_tasks
    found = load_tasks(str(path), 20)
    assert (found.name, found.horizon, found.environment.name) == (str(path), 20, "pusht")
    assert found.sha256 == sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for task, written in zip(found.tasks, chosen[:3], strict=True):
        assert (task.id, task.horizon) == (written.id, 20)
        np.testing.assert_array_equal(task.start_state, written.start_state)
        np.testing.assert_array_equal(task.goal_state, written.goal_state)
        np.testing.assert_array_equal(task.demo_actions, written.demo_actions)
    assert [task.id for task in load_tasks(str(path), 10, 2).tasks] == [t.id for t in chosen[3:5]]
    with pytest.raises(UserError, match=r"40.*10, 20"):
        load_tasks(str(path), 40)


def test_the_same_tasks_make_the_same_file(own_tasks, tmp_path):
    _, chosen, sha256 = own_tasks
    assert write_tasks(tmp_path / "again.parquet", "pusht", chosen) == sha256


def test_a_file_that_was_written_anew_is_read_anew(own_tasks):
    path, chosen, first = own_tasks
    assert len(load_tasks(str(path), 20).tasks) == 3
    second = write_tasks(path, "pusht", chosen[1:])
    found = load_tasks(str(path), 20)
    assert (len(found.tasks), found.sha256) == (2, second)
    assert first != second


def refused(path):
    with pytest.raises(UserError) as error:
        load_tasks(str(path), 20)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_of_an_unknown_environment_is_refused(own_tasks, tmp_path):
    _, chosen, _ = own_tasks
    path = tmp_path / "other.parquet"
    write_tasks(path, "pushed", chosen)
    assert "'pushed'" in refused(path)
    assert "'pusht'" in refused(path)
    write_tasks(tmp_path / "module.parquet", "no_such_module:ENV", chosen)
    assert "no_such_module" in refused(tmp_path / "module.parquet")


@pytest.mark.parametrize("content", [b"", b"not parquet", b"PAR1 and no end PAR1"])
def test_what_is_no_parquet_is_refused(tmp_path, content):
    path = tmp_path / "bad.parquet"
    path.write_bytes(content)
    assert str(path) in refused(path)
    assert str(tmp_path / "missing") in refused(tmp_path / "missing")
    assert "'eval'" in refused("evil")


def test_a_file_of_other_columns_or_without_its_environment_is_refused(own_tasks, tmp_path):
    table = pq.read_table(own_tasks[0])
    changed = {
        "renamed": table.rename_columns(["name", *table.column_names[1:]]),
        "more": table.append_column("x", pa.array([1] * len(table))),
        "fewer": table.drop_columns(["demo_actions"]),
        "nameless": table.replace_schema_metadata({}),
        "empty": table.slice(0, 0),
    }
    for name, other in changed.items():
        path = tmp_path / f"{name}.parquet"
        pq.write_table(other, path)
        assert str(path) in refused(path)


def column(table, name, values, kind=None):
    """Replaces a column."""
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(values, kind or table.schema.field(name).type))


def edited(table, name, value, row=1):
    """Replaces one value of a column."""
    values = table[name].to_pylist()
    values[row] = value(values[row])
    return column(table, name, values)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: column(t, "id", range(6), pa.int64()), "id.*int64"),
        (lambda t: column(t, "horizon", [20.0] * 6, pa.float64()), "horizon.*double"),
        (lambda t: column(t, "horizon", [[20]] * 6, pa.list_(pa.int32())), "horizon.*list"),
        (lambda t: column(t, "goal_state", ["a"] * 6, pa.string()), "goal_state.*string"),
        (lambda t: column(t, "goal_state", [[0.0] * 6] * 6, pa.list_(pa.float64(), 6)), "goal.*6"),
        (lambda t: column(t, "demo_actions", [[1]] * 6, pa.list_(pa.int8())), "demo_actions"),
        (lambda t: edited(t, "id", lambda _: None), "nulls.*id"),
        (lambda t: edited(t, "horizon", lambda _: None), "nulls.*horizon"),
        (lambda t: edited(t, "start_state", lambda _: None), "nulls.*start_state"),
        (lambda t: edited(t, "start_state", lambda x: [None, *x[1:]]), "nulls.*start_state"),
        (lambda t: edited(t, "goal_state", lambda x: [*x[1:], math.nan]), "goal_state.*finite"),
        (lambda t: edited(t, "demo_actions", lambda x: [-math.inf, *x[1:]]), "demo.*finite"),
        (lambda t: edited(t, "demo_actions", lambda x: x[:-2]), "demo_actions"),
        (lambda t: edited(t, "demo_actions", lambda _: []), "demo_actions"),
        (lambda t: edited(t, "horizon", lambda _: 0), "horizon"),
        (lambda t: edited(t, "horizon", lambda _: -20), "horizon"),
        (lambda t: edited(t, "horizon", lambda _: 2**31 - 1), "demo_actions"),
        (lambda t: edited(t, "id", lambda _: t["id"][5].as_py()), "same id"),
        (lambda t: edited(t, "id", lambda _: "two\nlines"), "printed"),
        (lambda t: edited(t, "id", lambda _: ""), "printed"),
        (lambda t: edited(t, "id", lambda x: x * 100), "200 characters"),
        (lambda t: environment_named(t, b"push\xfft"), "environment"),
        (lambda t: environment_named(t, b"a\nb"), "environment"),
        (lambda t: environment_named(t, b"p" * 10**6), "ppp"),
        (lambda t: environment_named(t, b"os:path"), "lacks.*state_dim"),
        (lambda t: pa.concat_tables([t.slice(0, 1)] * 3), "same id"),
    ],
)
def test_a_value_that_no_task_has_is_refused_by_its_column(own_tasks, tmp_path, change, named):
    path = tmp_path / "changed.parquet"
    pq.write_table(change(pq.read_table(own_tasks[0])), path)
    sentence = refused(path)
    assert re.search(named, sentence), sentence
    assert len(sentence) < 1000


def environment_named(table, name):
    return table.replace_schema_metadata({b"grasp_bench_environment": name})


def test_a_small_file_of_many_values_is_refused_before_it_is_read(own_tasks, tmp_path):
    table = pq.read_table(own_tasks[0])
    actions = pa.array([[0.0] * 3_000_000] * 6, pa.list_(pa.float32()))
    path = tmp_path / "bomb.parquet"
    pq.write_table(table.set_column(4, "demo_actions", actions), path)
    assert path.stat().st_size < 100_000
    assert "more than" in refused(path)


@pytest.mark.slow
def test_the_shipped_task_sets_are_what_the_command_makes(tmp_path):
    for split, shipped in SHIPPED.items():
        make_tasks(split, tmp_path / "tasks.parquet")
        assert (tmp_path / "tasks.parquet").read_bytes() == shipped.path.read_bytes()
