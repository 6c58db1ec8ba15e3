"""Results files: what is in them, and that nothing half written or of another kind is read."""

import json
from dataclasses import asdict, fields

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.core.system import System, describe_system
from grasp_bench.core.version import PROTOCOL_VERSION
from grasp_bench.run import store
from grasp_bench.run.run_folder import SET_ASIDE_FOLDER, Turn, open_run_folder
from grasp_bench.run.schema import (
    ADDED,
    COLUMNS,
    NAMES,
    SCHEMA_VERSION,
    SETTINGS,
    SYSTEM,
    environment_column,
    results_schema,
)
from grasp_bench.run.store import read_results, write_frame, write_rows


def names(columns):
    return {column.name for column in columns}


def test_the_schema_is_exactly_what_is_recorded(settings):
    assert names(SETTINGS) == settings().keys()
    assert names(SYSTEM) == {field.name for field in fields(System)} | {
        "reference_seconds",
        "workers",
        "started_at",
        "load",
    }
    assert len(names(COLUMNS)) == len(COLUMNS)


def test_every_column_is_described_in_the_file(tmp_path, make_row):
    write_rows(tmp_path / "a.parquet", [make_row()])
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert schema.metadata[b"grasp_bench_protocol_version"].decode() == PROTOCOL_VERSION
    assert int(schema.metadata[b"grasp_bench_schema_version"]) == SCHEMA_VERSION
    assert all(schema.field(name).metadata[b"description"] for name in schema.names)


def test_rows_come_back_as_written(tmp_path, make_row):
    row = make_row(
        success=True, success_block=False, time_to_success=1.5, plan_sha256="f" * 64,
        final_plan_block_distance=3.5,
    )  # fmt: skip
    write_rows(tmp_path / "a.parquet", [row])
    frame = read_results(tmp_path / "a.parquet")
    back = frame.iloc[0]
    for name, value in row.items():
        assert pd.isna(back[name]) if value is None else back[name] == value, name
    write_frame(tmp_path / "b.parquet", frame)
    pd.testing.assert_frame_equal(read_results(tmp_path / "b.parquet"), frame)


def test_an_environment_names_criteria_and_distances_beside_the_fixed_columns():
    own = ["success_soft", "final_plan_success_soft", "final_plan_gap"]
    schema = results_schema([*own, *NAMES])
    assert schema.names == [*NAMES, *own]
    assert [schema.field(name).type for name in own] == [pa.bool_(), pa.bool_(), pa.float64()]
    assert all(b"soft" in schema.field(name).metadata[b"description"] for name in own[:2])
    assert b"gap" in schema.field("final_plan_gap").metadata[b"description"]


@pytest.mark.parametrize("name", ["gap", "successful", "plan_success_soft", "finalplan_gap"])
def test_other_columns_are_none_of_a_results_file(name):
    assert environment_column(name) is None
    with pytest.raises(ValueError, match=name):
        results_schema([*NAMES, name])


@pytest.mark.parametrize("change", [{"success": ...}, {"gap": 1.0}])
def test_rows_of_other_columns_are_refused(tmp_path, make_row, change):
    row = {key: value for key, value in (make_row() | change).items() if value is not ...}
    with pytest.raises(ValueError, match=next(iter(change))):
        write_rows(tmp_path / "a.parquet", [row])
    with pytest.raises(ValueError, match=next(iter(change))):
        write_rows(tmp_path / "a.parquet", [make_row(), row])


def test_this_system_is_described():
    system = asdict(describe_system("cpu"))
    assert system["cores"] >= 1
    assert system["cpu"]
    assert system["accelerator"] is None


@pytest.mark.parametrize("keep", [0, 10, 1000, -1])
def test_a_truncated_file_is_refused(tmp_path, make_row, keep):
    path = tmp_path / "a.parquet"
    write_rows(path, [make_row()])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"a\.parquet"):
        read_results(path)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({b"grasp_bench_protocol_version": b"0"}, f"0.*{PROTOCOL_VERSION}"),
        ({b"grasp_bench_schema_version": b"99"}, f"99.*{SCHEMA_VERSION}"),
        ({b"grasp_bench_schema_version": b"4"}, f"4.*{SCHEMA_VERSION}"),
        ({b"grasp_bench_schema_version": None}, f"1.*{SCHEMA_VERSION}"),  # the first had none
    ],
)
def test_a_file_of_another_version_is_refused_in_one_sentence(tmp_path, make_row, changed, named):
    row = make_row()
    schema = results_schema(row)
    metadata = {k: v for k, v in (schema.metadata | changed).items() if v is not None}
    table = pa.Table.from_pylist([row], schema=schema.with_metadata(metadata))
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match=named) as error:
        read_results(tmp_path / "a.parquet")
    assert "\n" not in str(error.value)


def test_a_file_that_is_older_than_a_column_is_read_without_it(tmp_path, make_row):
    write_rows(tmp_path / "a.parquet", [make_row(load=1.5)])
    assert read_results(tmp_path / "a.parquet")["load"].tolist() == [1.5]
    table = pq.read_table(tmp_path / "a.parquet")
    pq.write_table(table.drop_columns(sorted(ADDED)), tmp_path / "b.parquet")
    older = read_results(tmp_path / "b.parquet")
    assert older["load"].isna().all()
    write_frame(tmp_path / "c.parquet", older)
    pd.testing.assert_frame_equal(read_results(tmp_path / "c.parquet"), older)


def test_what_is_not_results_is_refused(tmp_path, make_row):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet"):
        read_results(tmp_path / "a.parquet")
    with pytest.raises(UserError, match="missing"):
        read_results(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty"):
        read_results(tmp_path / "empty")
    write_rows(tmp_path / "b.parquet", [make_row()])
    table = pq.read_table(tmp_path / "b.parquet")
    pq.write_table(table.append_column("gap", pa.array([1.0])), tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"b\.parquet"):
        read_results(tmp_path / "b.parquet")


def test_any_error_can_be_stored(tmp_path, make_row):
    errors = ["ValueError: \udcff\ud800", "x" * 10**6 + "the end"]
    rows = [
        make_row(task_id=f"t{number}", status="error", error=error, planner_source="\udcfe.py:P")
        for number, error in enumerate(errors)
    ]
    write_rows(tmp_path / "a.parquet", rows)
    trials = read_results(tmp_path / "a.parquet")
    assert trials["error"][0] == "ValueError: \\udcff\\ud800"
    assert trials["planner_source"][0] == "\\udcfe.py:P"
    assert len(trials["error"][1]) <= 100_000
    assert trials["error"][1].endswith("the end")


def test_what_could_not_be_read_again_is_not_written(tmp_path, make_row):
    with pytest.raises(UserError, match="'cpu'"):
        write_rows(tmp_path / "a.parquet", [make_row(cpu="x" * 2000)])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_a_trial_with_two_outcomes_is_refused(tmp_path, make_row):
    (tmp_path / "parts").mkdir()
    write_rows(tmp_path / "trials.parquet", [make_row()])
    write_rows(tmp_path / "parts" / "b.parquet", [make_row(iterations=7)])
    with pytest.raises(UserError, match=r"grasp-pusht-h40-0000.*different iterations"):
        read_results(tmp_path)


def task_ids(folder):
    return read_results(folder)["task_id"].tolist()


def test_trials_are_readable_before_and_after_compaction(tmp_path, make_row, settings):
    with open_run_folder(tmp_path, settings()) as folder:
        for number in (2, 0, 1):
            folder.add([make_row(task_id=f"t{number}")])
        assert task_ids(tmp_path) == ["t0", "t1", "t2"]
        folder.compact()
        assert not list(tmp_path.glob("parts/*"))
        folder.add([make_row(task_id="t3")])
        assert task_ids(tmp_path) == ["t0", "t1", "t2", "t3"]


def test_the_file_does_not_depend_on_the_order_trials_finish_in(tmp_path, make_row, settings):
    rows = [make_row(task_id=f"t{number}") for number in range(4)]
    contents = []
    for name, order in (("a", rows), ("b", rows[::-1])):
        with open_run_folder(tmp_path / name, settings()) as folder:
            for row in order:
                folder.add([row])
            folder.compact()
        contents.append((tmp_path / name / "trials.parquet").read_bytes())
    assert contents[0] == contents[1]


def test_dying_between_compaction_and_clean_up_doubles_nothing(tmp_path, make_row, settings):
    with open_run_folder(tmp_path, settings()) as folder:
        folder.add([make_row(task_id="t0")])
        part = next(tmp_path.glob("parts/*.parquet"))
        content = part.read_bytes()
        folder.compact()
        part.write_bytes(content)
        assert task_ids(tmp_path) == ["t0"]
        folder.compact()
        assert task_ids(tmp_path) == ["t0"]


def test_a_finished_trial_replaces_its_error(tmp_path, make_row, settings):
    with open_run_folder(tmp_path, settings()) as folder:
        folder.add([make_row(status="error", error="ValueError")])
        folder.compact()
        folder.add([make_row(success=True, time_to_success=1.0)])
        trials = read_results(tmp_path)
    assert trials["status"].tolist() == ["ok"]


def test_leftovers_of_a_killed_process_are_cleaned_up(tmp_path, make_row, settings):
    (tmp_path / "parts").mkdir()
    leftovers = [tmp_path / "trials.parquet.77.tmp", tmp_path / "parts" / "x.parquet.77.tmp"]
    for leftover in leftovers:
        leftover.write_bytes(b"half")
    with open_run_folder(tmp_path, settings()) as folder:
        assert folder.trials() is None
    assert not any(leftover.exists() for leftover in leftovers)


def test_two_processes_share_a_folder_and_each_trial_is_taken_once(tmp_path, make_row, settings):
    with open_run_folder(tmp_path, settings()) as one:
        with open_run_folder(tmp_path, settings()) as two:
            assert one.turn(["grasp-t0"]) is Turn.OURS
            assert two.turn(["grasp-t0"]) is Turn.THEIRS
            assert two.turn(["grasp-t1"]) is Turn.OURS
            one.add([make_row(task_id="t0")])
            assert two.turn(["grasp-t0"]) is Turn.NOBODYS
            assert two.add([make_row(task_id="t0", iterations=7)]) == []
            two.add([make_row(task_id="t1", status="error", error="E")])
            two.compact()
            assert one.turn(["grasp-t1"]) is Turn.NOBODYS  # the next command tries it again
            assert two.turn(["grasp-t2"]) is Turn.OURS
        assert one.turn(["grasp-t2"]) is Turn.OURS  # the other has gone without finishing it
        assert one.trials()["iterations"].tolist() == [500, 500]
    assert task_ids(tmp_path) == ["t0", "t1"]


def test_a_damaged_part_is_set_aside_and_its_trial_runs_again(tmp_path, make_row, settings):
    with open_run_folder(tmp_path, settings()) as folder:
        for number in range(3):
            folder.add([make_row(task_id=f"t{number}")])
    part = sorted(tmp_path.glob("parts/*"))[1]
    content = part.read_bytes()[:-100]
    part.write_bytes(content)
    with pytest.raises(UserError, match=part.name):
        read_results(tmp_path)
    said = []
    with open_run_folder(tmp_path, settings(), said.append) as folder:
        assert folder.finished() == {"grasp-t0", "grasp-t2"}
        assert folder.turn(["grasp-t1"]) is Turn.OURS
        folder.add([make_row(task_id="t1")])
        folder.compact()
    assert (tmp_path / SET_ASIDE_FOLDER / part.name).read_bytes() == content
    assert len(said) == 1
    assert part.name in said[0]
    assert task_ids(tmp_path) == ["t0", "t1", "t2"]


@pytest.mark.parametrize(
    ("name", "value"), [("budget", 7.0), ("stop", "never"), ("batch", 8), ("model_sha256", "d")]
)
def test_other_settings_need_another_folder(tmp_path, settings, name, value):
    with open_run_folder(tmp_path, settings()):
        pass
    before = (tmp_path / "run.json").read_bytes()
    with (
        pytest.raises(UserError, match=f"{name}.*{value}.*--out"),
        open_run_folder(tmp_path, settings(**{name: value})),
    ):
        pass
    assert (tmp_path / "run.json").read_bytes() == before


def test_the_same_model_may_be_named_by_another_path(tmp_path, settings):
    with open_run_folder(tmp_path, settings(model="here", model_source="a")):
        pass
    with open_run_folder(tmp_path, settings(model="there", model_source="b")):
        pass


def test_a_damaged_manifest_is_refused(tmp_path, settings):
    for content in ("{", json.dumps({"settings": 1}), json.dumps([])):
        (tmp_path / "run.json").write_text(content)
        with (
            pytest.raises(UserError, match=r"run\.json.*--out"),
            open_run_folder(tmp_path, settings()),
        ):
            pass


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, settings):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match="run"),
        open_run_folder(tmp_path / "file" / "run", settings()),
    ):
        pass


def test_many_parts_are_merged_on_the_way(tmp_path, make_row, settings, monkeypatch):
    monkeypatch.setattr("grasp_bench.run.run_folder.PARTS_PER_MERGE", 3)
    with open_run_folder(tmp_path, settings()) as folder:
        for number in range(29):
            folder.add([make_row(task_id=f"t{number:02d}")])
            assert len(list(tmp_path.glob("parts/*"))) <= 3 * 3
            assert len(task_ids(tmp_path)) == number + 1
        assert len(folder.finished()) == 29
        folder.compact()
    assert [path.name for path in tmp_path.glob("*.parquet")] == ["trials.parquet"]
    assert not list(tmp_path.glob("parts/*"))
    assert len(task_ids(tmp_path)) == 29


def test_parts_that_are_merged_while_a_reader_reads_are_all_read(
    tmp_path, make_row, settings, monkeypatch
):
    monkeypatch.setattr("grasp_bench.run.run_folder.PARTS_PER_MERGE", 3)
    with open_run_folder(tmp_path, settings()) as folder:
        folder.add([make_row(task_id="t0")])
        folder.add([make_row(task_id="t1")])
        read_one = store.read_table

        def read_slowly(path, columns=None):
            monkeypatch.setattr(store, "read_table", read_one)
            folder.add([make_row(task_id="t2")])  # which merges the three
            return read_one(path, columns)

        monkeypatch.setattr(store, "read_table", read_slowly)
        assert task_ids(tmp_path) == ["t0", "t1", "t2"]


def test_trials_finished_are_known_without_reading_them_again(tmp_path, make_row, settings):
    with open_run_folder(tmp_path, settings()) as folder:
        folder.add([make_row(task_id="t0")])
        folder.compact()
    with open_run_folder(tmp_path, settings()) as folder:
        assert folder.finished() == {"grasp-t0"}
        folder.add([make_row(task_id="t1"), make_row(task_id="t2", status="error")])
        assert folder.finished() == {"grasp-t0", "grasp-t1"}
        assert folder.trials()["task_id"].tolist() == ["t0", "t1", "t2"]
        assert folder.trials() is folder.trials()
