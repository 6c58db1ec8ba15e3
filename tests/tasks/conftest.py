"""Small recordings in every layout, written by the layouts' own libraries."""

import pickle
from pathlib import Path

import h5py
import hdf5plugin
import lance
import numpy as np
import pyarrow as pa
import pytest
import torch
import zarr

from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.recordings import absolute_targets
from grasp_bench.tasks.importing import read_recording

# Other people's data lie beside the repository where they are at all.
DATA = Path(__file__).parents[3] / "shared" / "data"
HUMAN = DATA / "pusht_cchi_v7_replay.zarr"


class Recorded:
    """Episodes of the scripted demonstrator, as arrays that a test may change before writing."""

    def __init__(self, lengths):
        states, actions = [], []
        for number, length in enumerate(lengths):
            seen, taken = PUSHT.demonstrate(np.random.default_rng(number), length)
            states.append(seen[:-1])
            actions.append(taken)
        self.lengths = list(lengths)
        self.states = np.concatenate(states).astype(np.float32)
        self.actions = np.concatenate(actions).astype(np.float32)

    @property
    def ends(self):
        return np.cumsum(self.lengths)

    @property
    def targets(self):
        return absolute_targets(self.states[:, :2], self.actions).astype(np.float32)

    def write(self, layout, folder):
        return getattr(self, f"_{layout.replace(' ', '_')}")(folder)

    def _zarr_2(self, folder, version=2):
        root = zarr.open_group(str(folder / "rec.zarr"), mode="w", zarr_format=version)
        arrays = {"state": self.states[:, :5], "action": self.targets}
        for name, values in arrays.items():
            root.create_array(f"data/{name}", data=values, chunks=(50, values.shape[1]))
        root.create_array("meta/episode_ends", data=self.ends)
        return folder / "rec.zarr"

    def _zarr_3(self, folder):
        return self._zarr_2(folder, version=3)

    def _dinowm(self, folder, lengths=pickle.dumps):
        path = folder / "train"
        path.mkdir()
        for name, values in {
            "states": self.states[:, :5],
            "velocities": self.states[:, 5:],
            "rel_actions": self.actions * 100,
        }.items():
            rows = np.split(values, self.ends[:-1])
            padded = [np.pad(row, ((0, max(self.lengths) - len(row)), (0, 0))) for row in rows]
            torch.save(torch.from_numpy(np.stack(padded)), path / f"{name}.pth")
        (path / "seq_lengths.pkl").write_bytes(lengths(self.lengths))
        return path

    def _dinowm_without_velocities(self, folder):
        path = self._dinowm(folder)
        (path / "velocities.pth").unlink()
        return path

    def _hdf5(self, folder):
        path = folder / "pusht_expert_train.h5"
        with h5py.File(path, "w", libver="latest") as file:
            file.create_dataset("state", data=self.states, **hdf5plugin.Blosc())
            file.create_dataset("action", data=self.with_end_nans())
            file.create_dataset("ep_len", data=np.array(self.lengths, np.int32))
            file.create_dataset("ep_offset", data=np.r_[0, self.ends[:-1]])
        return path

    def _lance(self, folder):
        index = np.repeat(np.arange(len(self.lengths)), self.lengths)
        step = np.concatenate([np.arange(length) for length in self.lengths])
        table = {
            "episode_idx": pa.array(index, pa.int32()),
            "step_idx": pa.array(step, pa.int32()),
            "state": _lists(self.states),
            "action": _lists(self.with_end_nans()),
            "pixels": pa.array([b"jpeg"] * len(index)),
        }
        lance.write_dataset(pa.table(table), str(folder / "rec.lance"))
        return folder / "rec.lance"

    def with_end_nans(self):
        actions = self.actions.copy()
        actions[self.ends - 1] = np.nan
        return actions


def _lists(values):
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


@pytest.fixture
def recorded():
    """Six episodes of 60 to 110 steps."""
    return Recorded([60, 110, 90, 75, 100, 61])


@pytest.fixture
def recording(recorded, tmp_path):
    """The same as it is read from a zarr store."""
    return read_recording(recorded.write("zarr 2", tmp_path))


@pytest.fixture(scope="session")
def others_data():
    """The folder of other people's data, which need not be there."""
    return DATA


@pytest.fixture(scope="session")
def human():
    """The human demonstrations; tests that need them are left out where they are not."""
    if not HUMAN.exists():
        pytest.skip(f"{HUMAN} is not there")
    return read_recording(HUMAN)
