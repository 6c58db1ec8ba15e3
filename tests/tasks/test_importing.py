"""Recordings of every layout come out the same; each bad one is refused in one sentence."""

import json
import os
import pickle
import re
import shutil
import sys

import h5py
import lance
import numpy as np
import pyarrow as pa
import pytest
import torch
import zarr

from grasp_bench.core.errors import UserError
from grasp_bench.envs.pusht.recordings import absolute_targets, complete_states, follow_targets
from grasp_bench.envs.pusht.simulator import PushT
from grasp_bench.tasks.importing import read_recording
from grasp_bench.tasks.importing.pickled_numbers import read_whole_numbers
from grasp_bench.tasks.known_sets import HUMAN_RECORDING_SHA256

LAYOUTS = ["zarr 2", "zarr 3", "dinowm", "dinowm without velocities", "hdf5", "lance"]


def refused(path):
    with pytest.raises(UserError) as error:
        read_recording(path)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert len(sentence) < 600
    return sentence


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_recorded_states_and_actions(recorded, tmp_path, layout):
    found = read_recording(recorded.write(layout, tmp_path))
    assert found.states.dtype == np.float64
    assert found.actions.dtype == np.float32
    np.testing.assert_array_equal(found.states[:, :5], recorded.states[:, :5].astype(float))
    np.testing.assert_allclose(found.states[:, 5:], recorded.states[:, 5:], atol=2e-3)
    inner = np.setdiff1d(np.arange(len(recorded.states)), recorded.ends - 1)
    np.testing.assert_allclose(found.actions[inner], recorded.actions[inner], atol=1e-6)
    np.testing.assert_array_equal(found.episode_ends, recorded.ends)
    assert found.episode_starts.tolist() == [0, *recorded.ends[:-1]]
    assert len(found.episode(1)[0]) == recorded.lengths[1]


def test_the_hash_is_that_of_the_numbers_whatever_the_chunks_and_the_format(recorded, tmp_path):
    found = []
    for layout in ("zarr 2", "zarr 3"):
        (tmp_path / layout).mkdir()
        found.append(read_recording(recorded.write(layout, tmp_path / layout)).sha256)
    assert found[0] == found[1]
    recorded.states[7, 2] += 0.5
    (tmp_path / "changed").mkdir()
    assert read_recording(recorded.write("zarr 2", tmp_path / "changed")).sha256 != found[0]


def test_the_controller_moves_the_agent_as_the_simulator_does():
    world = PushT([100.0, 200.0, 300.0, 300.0, 0.5, 0.0, 0.0])
    rng = np.random.default_rng(0)
    targets, states = [], [world.get_state()]
    for _ in range(40):
        action = rng.uniform(-1, 1, 2)
        targets.append(absolute_targets(states[-1][:2], action))
        states.append(world.step(action))
    positions, velocities = follow_targets(states[0][:2], targets)
    np.testing.assert_allclose(positions, np.array(states)[:, :2], atol=1e-9)
    np.testing.assert_allclose(velocities, np.array(states)[:, 5:], atol=1e-9)


def test_human_velocities_put_the_agent_where_it_was_recorded(human):
    assert len(human) == 206
    assert human.states.shape == (25650, 7)
    assert human.sha256 == HUMAN_RECORDING_SHA256
    beyond = (np.abs(human.actions) > 1).any(axis=1)
    inside = np.searchsorted(human.episode_ends, np.flatnonzero(beyond), side="right")
    assert (beyond.sum(), len(set(inside))) == (29, 19)
    targets = zarr.open_array(str(human.path / "data/action"), mode="r")[:]
    for begin, end in zip(human.episode_starts, human.episode_ends):
        agent = human.states[begin:end, :2]
        positions, velocities = follow_targets(agent[0], targets[begin : end - 1])
        assert np.abs(positions - agent).max() < 1.6e-5
        np.testing.assert_array_equal(velocities, human.states[begin:end, 5:])


def test_an_agent_that_does_not_follow_the_controller_has_no_velocities(recorded, tmp_path):
    recorded.states[100, 0] += 1
    assert "episode 1" in refused(recorded.write("zarr 2", tmp_path))
    with pytest.raises(ValueError, match="controller"):
        complete_states(recorded.states[60:170, :5], recorded.targets[60:170])


def test_no_task_can_be_cut_from_lerobot_s_folder(tmp_path, others_data):
    (tmp_path / "lerobot" / "meta").mkdir(parents=True)
    (tmp_path / "lerobot" / "meta" / "info.json").write_text("{}")
    assert "block's pose" in refused(tmp_path / "lerobot")
    if (others_data / "lerobot_pusht_v3").exists():
        assert "block's pose" in refused(others_data / "lerobot_pusht_v3")


def test_a_path_that_holds_no_recording_is_refused(recorded, tmp_path):
    assert "there is no recording" in refused(tmp_path / "missing.zarr")
    (tmp_path / "notes.txt").write_text("hello")
    assert "is no recording" in refused(tmp_path / "notes.txt")
    recorded.write("dinowm", tmp_path)
    assert "train" in refused(tmp_path)


@pytest.mark.parametrize(
    ("layout", "library"), [("zarr 2", "zarr"), ("hdf5", "h5py"), ("lance", "lance")]
)
def test_a_missing_library_is_a_sentence_that_names_the_extra(
    recorded, tmp_path, monkeypatch, layout, library
):
    path = recorded.write(layout, tmp_path)
    monkeypatch.setitem(sys.modules, library, None)
    assert "pip install 'grasp-bench[data]'" in refused(path)


def changed(recorded, **arrays):
    for name, value in arrays.items():
        setattr(recorded, name, value)
    return recorded


def with_value(array, place, value):
    array = array.copy()
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("layout", "change", "named"),
    [
        ("zarr 2", lambda r: {"states": r.states[:, :4]}, "data/state.*shape"),
        ("zarr 2", lambda r: {"states": with_value(r.states, (5, 2), np.nan)}, "data/state.*finit"),
        ("zarr 2", lambda r: {"actions": with_value(r.actions, (5, 0), np.nan)}, "data/action"),
        ("zarr 2", lambda r: {"states": with_value(r.states, (5, 3), 1e9)}, "data/state.*beyond"),
        ("zarr 2", lambda r: {"states": r.states.astype(np.int32)}, "data/state.*floating"),
        ("zarr 2", lambda r: {"lengths": [60, 0, 200, 75, 100, 61]}, "episode_ends.*increase"),
        ("zarr 2", lambda r: {"lengths": r.lengths[:-1]}, "episode_ends.*435"),
        ("zarr 3", lambda r: {"lengths": [10**9]}, "episode_ends"),
        ("dinowm", lambda r: {"states": with_value(r.states, (5, 2), np.inf)}, "states.*finite"),
        ("dinowm", lambda r: {"actions": with_value(r.actions, (3, 1), np.nan)}, "rel_actions"),
        ("hdf5", lambda r: {"actions": with_value(r.actions, (5, 0), np.nan)}, "action.*row 5"),
        ("hdf5", lambda r: {"states": r.states[:, :5]}, "state.*shape.*7"),
        ("hdf5", lambda r: {"states": r.states.astype(np.int64)}, "state.*floating"),
        ("hdf5", lambda r: {"lengths": [*r.lengths[:-1], 60]}, "ep_len.*495"),
        ("hdf5", lambda r: {"lengths": [*r.lengths[:-2], -5, 166]}, "ep_len.*increase"),
        ("lance", lambda r: {"actions": with_value(r.actions, (5, 0), np.nan)}, "action.*row 5"),
        ("lance", lambda r: {"states": r.states[:, :5]}, "state.*shape.*7"),
        ("lance", lambda r: {"states": with_value(r.states, (5, 2), np.inf)}, "state.*finite"),
    ],
)
def test_numbers_that_no_recording_has_are_refused_by_name(
    recorded, tmp_path, layout, change, named
):
    path = changed(recorded, **change(recorded)).write(layout, tmp_path)
    sentence = refused(path)
    assert re.search(named, sentence), sentence


def cut(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def describe(path, **changes):
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | changes))


@pytest.mark.parametrize(
    ("layout", "damage", "named"),
    [
        ("zarr 2", lambda p: shutil.rmtree(p / "data" / "action"), "data/action.*missing"),
        ("zarr 2", lambda p: cut(p / "data" / "state" / "1.0"), "data/state.*damaged"),
        ("zarr 3", lambda p: cut(p / "data" / "state" / "c" / "1" / "0"), "data/state.*damaged"),
        ("zarr 2", lambda p: (p / "data" / "state" / "2.0").unlink(), "misses 1 of 10 chunks"),
        ("zarr 2", lambda p: cut(p / "data" / "state" / ".zarray"), "zarray.*cannot be read"),
        ("zarr 2", lambda p: describe(p / "data/state/.zarray", shape=[10**12, 5]), "10000000000"),
        ("zarr 2", lambda p: describe(p / "data/state/.zarray", chunks=[10**12, 5]), "chunks"),
        ("zarr 2", lambda p: describe(p / "data/state/.zarray", shape=[-5, 5]), "shape"),
        ("zarr 2", lambda p: describe(p / "data/state/.zarray", shape="all"), "shape"),
        ("zarr 2", lambda p: describe(p / "data/state/.zarray", dtype="|O"), "numbers"),
        ("zarr 2", lambda p: describe(p / "data/state/.zarray", filters=[{"id": "x"}]), "codec"),
        ("zarr 2", lambda p: (p / "data/state/zarr.json").write_text("{}"), "two descriptions"),
        ("zarr 3", lambda p: describe(p / "data/state/zarr.json", codecs=["pickle"]), "codec"),
        ("dinowm", lambda p: (p / "rel_actions.pth").unlink(), "rel_actions.*missing"),
        ("dinowm", lambda p: (p / "seq_lengths.pkl").unlink(), "seq_lengths.*missing"),
        ("dinowm", lambda p: cut(p / "states.pth"), "states.pth.*no tensor"),
        ("dinowm", lambda p: cut(p / "seq_lengths.pkl"), "seq_lengths"),
        ("dinowm", lambda p: torch.save([1], p / "states.pth"), "states.pth.*list"),
        ("dinowm", lambda p: torch.save(torch.ones(6, 1, 1).expand(6, 110, 5).to_sparse(),
                                        p / "states.pth"), "states.pth"),
        ("dinowm", lambda p: torch.save(torch.ones(6, 1, 1).expand(6, 10**7, 5), p / "states.pth"),
         "states"),
        ("dinowm", lambda p: torch.save(torch.ones(6, 110, 5).int(), p / "states.pth"), "floating"),
        ("dinowm", lambda p: torch.save(torch.ones(5, 110, 5), p / "states.pth"), "states.*shape"),
        ("dinowm", lambda p: (p / "seq_lengths.pkl").write_bytes(pickle.dumps([0] * 6)), "0 to 0"),
        ("dinowm", lambda p: (p / "seq_lengths.pkl").write_bytes(pickle.dumps([999] * 6)), "999"),
        ("hdf5", cut, "HDF5"),
        ("hdf5", lambda p: p.write_bytes(b"not hdf5"), "HDF5"),
        ("lance", lambda p: [cut(file) for file in p.glob("data/*")], "Lance"),
        ("lance", lambda p: shutil.rmtree(p / "_versions"), "Lance"),
    ],
)  # fmt: skip
def test_a_damaged_or_hostile_recording_is_refused(recorded, tmp_path, layout, damage, named):
    path = recorded.write(layout, tmp_path)
    damage(path)
    sentence = refused(path)
    assert re.search(named, sentence), sentence


def test_columns_of_other_types_or_from_elsewhere_are_refused(recorded, tmp_path):
    path = recorded.write("hdf5", tmp_path)
    for name, put in {
        "missing": lambda file: None,
        "text": lambda file: file.create_dataset("state", data=["a", "b"]),
        "group": lambda file: file.create_group("state"),
        "link": lambda file: file.__setitem__("state", h5py.ExternalLink("other.h5", "state")),
    }.items():
        copy = tmp_path / f"{name}.h5"
        shutil.copy(path, copy)
        with h5py.File(copy, "a") as file:
            del file["state"]
            put(file)
        assert "'state'" in refused(copy)
    table = lance.dataset(str(recorded.write("lance", tmp_path))).to_table()
    for name, other in {
        "fewer": table.drop_columns(["step_idx"]),
        "text": table.set_column(0, "episode_idx", pa.array(["a"] * len(table))),
        "nulls": table.set_column(1, "step_idx", pa.array([None] * len(table), pa.int32())),
        "mixed": table.take(pa.array(np.random.default_rng(0).permutation(len(table)))),
        "empty": table.slice(0, 0),
    }.items():
        lance.write_dataset(other, str(tmp_path / f"{name}.lance"))
        assert f"{name}.lance" in refused(tmp_path / f"{name}.lance")


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", range(6))
def test_no_pickle_runs_code(recorded, tmp_path, protocol):
    path, marker = recorded.write("dinowm", tmp_path), tmp_path / "marker"
    (path / "seq_lengths.pkl").write_bytes(pickle.dumps([60, Harmful(marker)], protocol))
    assert "never looked up" in refused(path)
    assert not marker.exists()


def test_no_tensor_file_runs_code(recorded, tmp_path):
    path, marker = recorded.write("dinowm", tmp_path), tmp_path / "marker"
    torch.save(Harmful(marker), path / "states.pth")
    assert "no tensor" in refused(path)
    assert not marker.exists()


@pytest.mark.parametrize("consolidated", [False, True])
def test_no_codec_of_a_store_runs_code(recorded, tmp_path, consolidated):
    path, marker = recorded.write("zarr 2", tmp_path), tmp_path / "marker"
    if consolidated:
        metadata = {"data/state/.zarray": {"shape": [496, 5], "filters": [{"id": "pickle"}]}}
        text = json.dumps({"zarr_consolidated_format": 1, "metadata": metadata})
        (path / ".zmetadata").write_text(text)
        read_recording(path)  # that description is not the one that counts
    else:
        hostile = {"filters": [{"id": "pickle"}], "compressor": None}
        describe(path / "data/state/.zarray", **hostile)
        for chunk in (path / "data/state").glob("*.0"):
            chunk.write_bytes(pickle.dumps(Harmful(marker)))
        assert "'pickle'" in refused(path)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [
        [1, 300, 70_000, 2**40],
        (5, 5, 5),
        np.array([3, 4, 2**33]),
        np.array([7], dtype=">i2"),
        [np.int64(4), 5, np.int32(6)],
        list(range(1, 2000)),
    ],
    ids=["list", "tuple", "array", "big-endian", "scalars", "long"],
)
def test_whole_numbers_come_out_of_any_pickle_of_them(tmp_path, value, protocol):
    path = tmp_path / "numbers.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    assert read_whole_numbers(path).tolist() == [int(number) for number in value]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps([]),
        pickle.dumps([1, 2.5]),
        pickle.dumps([True, 2]),
        pickle.dumps({"a": 1}),
        pickle.dumps([[1], [2]]),
        pickle.dumps([2**70]),
        pickle.dumps(np.array([1.5])),
        pickle.dumps(np.array([1, None], dtype=object)),
        pickle.dumps(np.ones((2, 2), dtype=int)),
        pickle.dumps([1, 2])[:-1],
        b"\x80\x04\x96" + (2**40).to_bytes(8, "little") + b".",  # a bytearray of a terabyte
        b"(lp4000000000\n.",  # a place in a table of four billion
        b"]r\xff\xff\xff\x7f.",
        b"\x80\x04]h\x05a.",
        b"0000.",
        b"(((((((.",
    ],
)
def test_any_other_pickle_is_one_sentence(tmp_path, content):
    path = tmp_path / "numbers.pkl"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_whole_numbers(path)
    assert "\n" not in str(error.value)
