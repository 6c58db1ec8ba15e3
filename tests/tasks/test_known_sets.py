"""Task sets that a user makes: found by name, locked by their hash, listed, shown and checked."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.tasks import known_sets
from grasp_bench.tasks.known_sets import KNOWN
from grasp_bench.tasks.task_import import import_tasks
from grasp_bench.tasks.task_set import load_tasks
from grasp_bench.tasks.task_source import read_source
from grasp_bench.tasks.window_options import WindowOptions


@pytest.fixture(autouse=True)
def _here_only(monkeypatch, tmp_path):
    """Has sets be looked for in an empty working directory, not in the repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(known_sets, "_ROOTS", (known_sets._ROOTS[0],))


@pytest.fixture(scope="module")
def human_file(human, tmp_path_factory):
    """The file of the set `human`, made as the command makes it."""
    path = tmp_path_factory.mktemp("human") / "human.parquet"
    import_tasks(human, KNOWN["human"].options, "human", path)
    return path


@pytest.fixture
def made(recording, recorded, tmp_path):
    """A small set under the name `human`, whose hash is another one."""
    recorded.write("hdf5", tmp_path)
    path = tmp_path / "data" / "tasks" / "human.parquet"
    path.parent.mkdir(parents=True)
    return path, import_tasks(recording, WindowOptions((20, 30), split="all"), "human", path)


@pytest.fixture
def locked(made, monkeypatch):
    """The same, its hash the one that must come out."""
    path, result = made
    values = vars(KNOWN["human"]) | {"sha256": result.sha256}
    monkeypatch.setitem(KNOWN, "human", known_sets.KnownSet(**values))
    return path


def test_the_human_sets_are_what_the_commands_make(human, human_file, tmp_path):
    tune = import_tasks(human, KNOWN["human-tune"].options, "human-tune", tmp_path / "t.parquet")
    assert tune.sha256 == KNOWN["human-tune"].sha256
    assert list(tune.written.values()) == [31, 31, 31, 31, 31, 31, 29, 27, 26]
    folder = tmp_path / "data" / "tasks"
    folder.mkdir(parents=True)
    (folder / "human.parquet").write_bytes(human_file.read_bytes())
    tasks = load_tasks("human", 80)
    assert (tasks.name, tasks.sha256, len(tasks.tasks)) == ("human", KNOWN["human"].sha256, 106)
    paths = [folder / "human.parquet", tmp_path / "t.parquet"]
    ids = [" ".join(pq.read_table(path)["id"].to_pylist()) for path in paths]
    episodes = [set(re.findall(r"-(e\d+)-", text)) for text in ids]
    assert [len(found) for found in episodes] == [124, 31]
    assert not episodes[0] & episodes[1]


def test_every_human_demonstration_reaches_its_goal(human_file, cli):
    code, out, _ = cli("tasks", "check", human_file)
    assert code == 0
    assert "known as human" in out
    counts = [tuple(map(int, row)) for row in re.findall(r"(\d+) tasks, (\d+) .*, (\d+) suc", out)]
    assert [row[0] for row in counts] == [124, 124, 124, 124, 124, 123, 122, 115, 106]
    assert all(len(set(row)) == 1 for row in counts)


def test_a_set_that_was_not_made_is_a_sentence_with_the_commands(refused):
    with pytest.raises(UserError) as error:
        load_tasks("human-tune", 20)
    assert all(command in str(error.value) for command in KNOWN["human-tune"].commands)
    assert "data fetch pusht-human" in refused("tasks", "check", "human")
    with pytest.raises(UserError, match="did you mean 'human'"):
        load_tasks("humen", 20)


def test_a_set_of_another_hash_is_refused(made):
    with pytest.raises(UserError) as error:
        load_tasks("human", 20)
    assert made[1].sha256 in str(error.value)
    assert KNOWN["human"].sha256 in str(error.value)


def test_a_set_is_found_by_its_name(locked, recording):
    tasks = load_tasks("human", 20, 2)
    assert (tasks.name, tasks.horizon, len(tasks.tasks)) == ("human", 20, 2)
    assert load_tasks(str(locked), 20).name == str(locked)
    source = read_source(pq.read_schema(locked))
    assert (source.name, source.sha256) == ("human", recording.sha256)
    assert source.options["shares"] == {"eval": 60, "tune": 15, "train": 25}
    assert source.options["split"] == "all"


def test_a_source_that_is_none_is_refused(locked):
    table = pq.read_table(locked)
    for content in (b"{", b"[]", b'{"name": 1}', b'"' + b"a" * 10**5 + b'"'):
        metadata = table.schema.metadata | {b"grasp_bench_source": content}
        with pytest.raises(UserError, match="source"):
            read_source(table.schema.with_metadata(metadata))


def test_the_commands_list_and_show_sets(locked, cli):
    code, out, _ = cli("tasks", "list")
    assert code == 0
    assert "not made" in out  # human-tune
    assert "eval 60" in out
    (locked.parent / "bad.parquet").write_bytes(b"no parquet")
    assert "not a complete parquet file" in " ".join(cli("tasks", "list")[1].split())
    code, out, _ = cli("tasks", "show", "human")
    assert code == 0
    assert load_tasks("human", 20).sha256 in out
    assert len(re.findall(r"^│ [23]0 ", out, re.M)) == 2
    assert cli("tasks", "check", "human")[0] == 0


def test_a_goal_that_is_not_reached_is_found(locked, cli):
    table = pq.read_table(locked)
    goals = np.array(table["goal_state"].to_pylist())
    goals[0, 0] += 30
    place = table.column_names.index("goal_state")
    values = pa.array(goals.tolist(), table.schema.field("goal_state").type)
    pq.write_table(table.set_column(place, "goal_state", values), "changed.parquet")
    code, out, _ = cli("tasks", "check", "changed.parquet")
    assert code == 1
    first, second = re.findall(r"(\d+) tasks, (\d+) reach .*, (\d+) succeed", out)
    assert (int(first[1]), int(first[2])) == (int(first[0]) - 1, int(first[0]) - 1)
    assert len(set(second)) == 1


def test_the_import_command_prints_counts_and_hash(recorded, tmp_path, cli, refused):
    path = recorded.write("zarr 2", tmp_path)
    command = ["tasks", "import", path, "--horizons", "20,30", "--split", "all"]
    code, out, _ = cli(*command, "--name", "mine")
    assert code == 0
    assert load_tasks("data/tasks/mine.parquet", 30).sha256 in out
    assert "not the known set" in cli(*command, "--name", "human")[1]
    assert "shipped" in refused(*command, "--name", "eval")
    assert "missing" in refused("tasks", "import", "missing", "--name", "mine")
    assert "20,x" in refused("tasks", "import", path, "--name", "mine", "--horizons", "20,x")


def test_the_page_on_human_tasks_names_the_sets_that_come_out():
    page = (Path(__file__).parents[2] / "docs" / "human-tasks.md").read_text()
    assert len(page.split()) <= 350
    for known in KNOWN.values():
        assert known.sha256[:12] in page
        assert f"data fetch {known.published}" in page
        assert str(known.recording) in page
    assert known_sets.WindowOptions(KNOWN["human"].options.horizons) == KNOWN["human"].options
