"""Damaged results files: the column at fault is named in one sentence."""

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.run.schema import results_schema
from grasp_bench.run.store import read_results


@pytest.fixture
def damaged(tmp_path, make_row):
    """A results file of two good rows, its table changed before it is written."""

    def make(change):
        rows = [make_row(task_id=f"t{number}") for number in range(2)]
        table = pa.Table.from_pylist(rows, schema=results_schema(rows[0]))
        pq.write_table(change(table), tmp_path / "a.parquet")
        return tmp_path / "a.parquet"

    return make


def with_column(name, values, kind=None):
    def change(table):
        array = pa.array(values, kind or table.schema.field(name).type)
        return table.set_column(table.schema.get_field_index(name), name, array)

    return change


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("task_id", ["t", None], None),
        ("started_at", [None, None], None),
        ("success", [True, None], None),
        ("success_block", [None, True], None),
        ("candidates", [None, 1], None),
        ("horizon", [40.0, 40.0], pa.float64()),
        ("threads", [1, 1], pa.int32()),
        ("planner", [["cem"], ["cem"]], pa.list_(pa.string())),
        ("cpu", [{"a": 1}, None], pa.struct([("a", pa.int64())])),
        ("success", ["yes", "no"], pa.string()),
        ("final_plan_block_distance", [1, 2], pa.int64()),
        ("horizon", [40, 0], None),
        ("budget", [5.0, 0.0], None),
        ("budget", [5.0, math.inf], None),
        ("check_first", [-1.0, 0.02], None),
        ("check_ratio", [1.0, 1.25], None),
        ("batch", [1, 0], None),
        ("threads", [2**31, 1], None),
        ("candidates", [-1, 5], None),
        ("planner_time", [math.nan, 5.0], None),
        ("time_to_success", [-0.5, None], None),
        ("wall_seconds", [math.inf, 5.0], None),
        ("started_at", [2**60, 0], None),
        ("status", ["ok", "fine"], None),
        ("clock", ["sun", "wall"], None),
        ("hyperparameters", ["{}", "[]"], None),
        ("hyperparameters", ["{}", "[" * 90_000], None),
        ("replan_candidates", ["1 2", "one"], None),
        ("planner_label", ["x" * 10_000_000, "x"], None),
        ("model_source", ["a", "b\0c"], None),
    ],
)
def test_a_damaged_column_is_named_in_one_sentence(damaged, name, values, kind):
    path = damaged(with_column(name, values, kind))
    for columns in (None, ["success", name]):
        with pytest.raises(UserError, match=rf"a\.parquet.*'{name}'") as error:
            read_results(path, columns)
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 600


def test_a_success_has_a_time(damaged):
    with pytest.raises(UserError, match="'time_to_success'"):
        read_results(damaged(with_column("success", [True, False])))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda table: table.drop(["checks"]), "checks"),
        (lambda table: table.drop(["final_plan_success_final"]), "final_plan_success_final"),
        (lambda table: table.append_column("planner", table["planner"]), "planner"),
        (lambda table: table.append_column("x" * 10**6, table["planner"]), "xxx"),
    ],
)
def test_columns_are_those_of_results_each_once(damaged, change, name):
    with pytest.raises(UserError, match=f"'{name}") as error:
        read_results(damaged(change), ["success"])
    assert len(str(error.value)) < 600


def test_types_of_all_columns_count_and_values_of_those_that_are_read(damaged):
    path = damaged(with_column("batch", [0, 0]))
    assert list(read_results(path, ["success"])) == ["success"]
    with pytest.raises(UserError, match="'batch'"):
        read_results(damaged(with_column("batch", ["1", "1"], pa.string())), ["success"])


def test_texts_may_come_with_a_dictionary_and_must_be_unicode(damaged):
    def with_own(name, array):
        return lambda table: table.set_column(table.schema.get_field_index(name), name, array)

    path = damaged(with_own("planner", pa.array(["cem", "cem"]).dictionary_encode()))
    assert read_results(path)["planner"].dtype == "string"
    bad = pa.array([b"ok", b"\xff\xfe"], pa.binary()).view(pa.string())
    with pytest.raises(UserError, match="'model'"):
        read_results(damaged(with_own("model", bad)))


@pytest.mark.parametrize("version", [b"five", b"\xff", b"5.0", b"-1" * 10_000, b""])
def test_damaged_versions_are_one_sentence(damaged, version):
    for key in (b"grasp_bench_schema_version", b"grasp_bench_protocol_version"):
        changed = {key: version}
        path = damaged(lambda t, new=changed: t.replace_schema_metadata(t.schema.metadata | new))
        with pytest.raises(UserError, match=r"a\.parquet") as error:
            read_results(path)
        assert len(str(error.value)) < 600


def test_what_pandas_left_in_a_file_is_not_followed(damaged):
    metadata = {b"pandas": b"{]"}
    path = damaged(lambda t: t.replace_schema_metadata(t.schema.metadata | metadata))
    assert len(read_results(path)) == 2


def test_columns_that_are_not_there_are_named(damaged):
    path = damaged(lambda table: table)
    with pytest.raises(UserError, match=r"'sucess': did you mean 'success'"):
        read_results(path, ["sucess"])
    assert list(read_results(path, ["budget", "success", "budget"])) == ["budget", "success"]
    assert list(read_results(path, [])) == []


def test_no_rows_are_no_results(damaged):
    with pytest.raises(UserError, match="no trials"):
        read_results(damaged(lambda table: table.slice(0, 0)))
