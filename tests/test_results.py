import json
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grasp_bench import PROTOCOL_VERSION
from grasp_bench.columns import COLUMNS, MACHINE, OUTCOME, SCHEMA, SCHEMA_VERSION, SETTINGS
from grasp_bench.errors import UserError
from grasp_bench.machine import Machine, describe_machine
from grasp_bench.results import read_results, write_rows
from grasp_bench.run_folder import RunFolder, open_run_folder
from grasp_bench.settings import RunSettings
from grasp_bench.trial import Outcome


def names(columns):
    return {column.name for column in columns}


def test_the_schema_is_exactly_what_is_recorded():
    assert names(OUTCOME) == {field.name for field in fields(Outcome)}
    assert names(SETTINGS) == {field.name for field in fields(RunSettings)}
    assert names(MACHINE) == {f.name for f in fields(Machine)} | {
        "reference_seconds",
        "workers",
        "started_at",
    }
    assert len(names(COLUMNS)) == len(COLUMNS)


def test_every_column_is_described_in_the_file(tmp_path, make_row):
    write_rows(tmp_path / "a.parquet", [make_row()])
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert schema.metadata[b"grasp_bench_protocol_version"].decode() == PROTOCOL_VERSION
    assert all(schema.field(name).metadata[b"description"] for name in schema.names)


def test_rows_come_back_as_written(tmp_path, make_row):
    row = make_row(success=True, time_to_success=1.5, plan_sha256="f" * 64)
    write_rows(tmp_path / "a.parquet", [row])
    back = read_results(tmp_path / "a.parquet").iloc[0]
    for name, value in row.items():
        assert pd.isna(back[name]) if value is None else back[name] == value, name


def test_rows_of_other_columns_are_refused(tmp_path, make_row):
    row = make_row()
    del row["success"]
    with pytest.raises(ValueError, match="success"):
        write_rows(tmp_path / "a.parquet", [row])


def test_this_machine_is_described():
    machine = asdict(describe_machine("cpu"))
    assert machine["cores"] >= 1
    assert machine["cpu"]
    assert machine["accelerator"] is None


@pytest.mark.parametrize("keep", [0, 10, 1000, -1])
def test_a_truncated_file_is_refused(tmp_path, make_row, keep):
    path = tmp_path / "a.parquet"
    write_rows(path, [make_row()])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="not a complete parquet file"):
        read_results(path)


def test_a_file_of_another_protocol_version_is_refused(tmp_path, make_row):
    other = SCHEMA.with_metadata({"grasp_bench_protocol_version": "0"})
    pq.write_table(pa.Table.from_pylist([make_row()], schema=other), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="protocol version 0"):
        read_results(tmp_path / "a.parquet")


def test_columns_younger_than_a_file_are_null_or_what_was_the_only_way_then(tmp_path, make_row):
    first = [column.name for column in COLUMNS if column.since == 1]
    younger = [column.name for column in COLUMNS if column.since > 1 and column.before is None]
    table = pa.Table.from_pylist([make_row()], schema=SCHEMA).select(first)
    old = table.replace_schema_metadata({"grasp_bench_protocol_version": PROTOCOL_VERSION})
    pq.write_table(old, tmp_path / "a.parquet")
    trials = read_results(tmp_path / "a.parquet")
    assert list(trials.columns) == [column.name for column in COLUMNS]
    assert trials[younger].isna().all(axis=None)
    assert trials["protocol"].tolist() == ["open-loop"]
    assert trials[["success", "workers"]].notna().all(axis=None)


def test_a_file_of_a_later_schema_is_refused(tmp_path, make_row):
    metadata = {**SCHEMA.metadata, b"grasp_bench_schema_version": str(SCHEMA_VERSION + 1)}
    table = pa.Table.from_pylist([make_row()], schema=SCHEMA.with_metadata(metadata))
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match=f"schema version {SCHEMA_VERSION + 1}"):
        read_results(tmp_path / "a.parquet")


def test_what_is_not_results_is_refused(tmp_path):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="not a results file"):
        read_results(tmp_path / "a.parquet")
    with pytest.raises(UserError, match="there is no results file"):
        read_results(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no results"):
        read_results(tmp_path / "empty")


def task_ids(folder):
    return read_results(folder)["task_id"].tolist()


def test_trials_are_readable_before_and_after_compaction(tmp_path, make_row, make_settings):
    with open_run_folder(tmp_path, make_settings()) as folder:
        for number in (2, 0, 1):
            folder.add([make_row(task_id=f"t{number}")])
        assert task_ids(tmp_path) == ["t0", "t1", "t2"]
        folder.compact()
        assert not list(tmp_path.glob("parts/*"))
        folder.add([make_row(task_id="t3")])
        assert task_ids(tmp_path) == ["t0", "t1", "t2", "t3"]


def test_the_file_does_not_depend_on_the_order_trials_finish_in(tmp_path, make_row, make_settings):
    rows = [make_row(task_id=f"t{number}") for number in range(4)]
    contents = []
    for name, order in (("a", rows), ("b", rows[::-1])):
        with open_run_folder(tmp_path / name, make_settings()) as folder:
            for row in order:
                folder.add([row])
            folder.compact()
        contents.append((tmp_path / name / "trials.parquet").read_bytes())
    assert contents[0] == contents[1]


def test_dying_between_compaction_and_clean_up_doubles_nothing(tmp_path, make_row, make_settings):
    with open_run_folder(tmp_path, make_settings()) as folder:
        folder.add([make_row(task_id="t0")])
        part = next(tmp_path.glob("parts/*.parquet"))
        content = part.read_bytes()
        folder.compact()
        part.write_bytes(content)
        assert task_ids(tmp_path) == ["t0"]
        folder.compact()
        assert task_ids(tmp_path) == ["t0"]


def test_a_finished_trial_replaces_its_error(tmp_path, make_row, make_settings):
    with open_run_folder(tmp_path, make_settings()) as folder:
        folder.add([make_row(status="error", error="ValueError")])
        folder.compact()
        folder.add([make_row(success=True)])
        trials = read_results(tmp_path)
    assert trials["status"].tolist() == ["ok"]


def test_leftovers_of_a_killed_process_are_cleaned_up(tmp_path, make_row, make_settings):
    (tmp_path / "parts").mkdir()
    leftovers = [tmp_path / "trials.parquet.77.tmp", tmp_path / "parts" / "x.parquet.77.tmp"]
    for leftover in leftovers:
        leftover.write_bytes(b"half")
    with open_run_folder(tmp_path, make_settings()) as folder:
        assert folder.trials() is None
    assert not any(leftover.exists() for leftover in leftovers)


def test_a_folder_is_held_by_one_process(tmp_path, make_settings):
    with (
        open_run_folder(tmp_path, make_settings()),
        pytest.raises(UserError, match="another process"),
        open_run_folder(tmp_path, make_settings()),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "value"), [("budget", 7.0), ("stop", "never"), ("batch", 8), ("model_sha256", "d")]
)
def test_other_settings_need_another_folder(tmp_path, make_settings, name, value):
    with open_run_folder(tmp_path, make_settings()):
        pass
    before = (tmp_path / "run.json").read_bytes()
    with (
        pytest.raises(UserError, match=f"{name}.*pick another --out"),
        open_run_folder(tmp_path, make_settings(**{name: value})),
    ):
        pass
    assert (tmp_path / "run.json").read_bytes() == before


def test_the_same_model_may_be_named_by_another_path(tmp_path, make_settings):
    with open_run_folder(tmp_path, make_settings(model="here")):
        pass
    with open_run_folder(tmp_path, make_settings(model="there")):
        pass
    assert make_settings(model="here").digest() == make_settings(model="there").digest()


def test_a_damaged_manifest_is_refused(tmp_path, make_settings):
    for content in ("{", json.dumps({"settings": 1}), json.dumps([])):
        (tmp_path / "run.json").write_text(content)
        with (
            pytest.raises(UserError, match="damaged"),
            open_run_folder(tmp_path, make_settings()),
        ):
            pass


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, make_settings):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match="cannot write"),
        open_run_folder(tmp_path / "file" / "run", make_settings()),
    ):
        pass


def test_many_parts_are_compacted_on_the_way(tmp_path, make_row, make_settings, monkeypatch):
    monkeypatch.setattr("grasp_bench.run_folder.PARTS_PER_COMPACTION", 3)
    with open_run_folder(tmp_path, make_settings()) as folder:
        assert isinstance(folder, RunFolder)
        for number in range(7):
            folder.add([make_row(task_id=f"t{number}")])
        assert len(list(tmp_path.glob("parts/*"))) == 1
        assert len(task_ids(tmp_path)) == 7


def test_the_documentation_names_every_column_as_the_schema_does():
    text = (Path(__file__).parents[1] / "docs" / "results.md").read_text()
    for column in COLUMNS:
        assert f"| `{column.name}` | {column.type} | {column.description} |" in text
