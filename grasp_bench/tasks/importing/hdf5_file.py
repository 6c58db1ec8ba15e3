"""Reads stable-worldmodel's HDF5 files, as `pusht_expert_train.h5`.

Flat rows: `state` [N, 7], `action` [N, 2] relative in units of 100 px with NaN at an episode's
end, and `ep_len` [E] and `ep_offset` [E], which say where each episode lies.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from grasp_bench.core.errors import UserError
from grasp_bench.core.plugins import foreign_code
from grasp_bench.tasks.importing.recording import (
    MOST_VALUES,
    Recording,
    check_array,
    check_numbers,
    checked_ends,
    content_sha256,
    import_library,
    without_end_nans,
)

LAYOUT = "stable-worldmodel HDF5"
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_NAMES = {"state": (None, 7), "action": (None, 2), "ep_len": (None,), "ep_offset": (None,)}


def fits(path: Path) -> bool:
    """Tells whether a file is HDF5, by its name or its first bytes."""
    if path.suffix in (".h5", ".hdf5"):
        return True
    with path.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


def read(path: Path) -> Recording:
    """Reads a file; the codecs of hdf5plugin are known where it is installed.

    Raises:
        UserError: a column is missing, damaged, or not what Push-T has.
    """
    h5py = import_library("h5py", path)
    with suppress(ImportError):
        import_module("hdf5plugin")  # registers its codecs with HDF5
    what = f"'{path}' cannot be read as HDF5 (compressed files need 'grasp-bench[data]')"
    with foreign_code(what), h5py.File(path, "r") as file:
        arrays = {name: _column(h5py, file, name, size, path) for name, size in _NAMES.items()}
    states, actions = arrays["state"], arrays["action"]
    if len(actions) != len(states):
        raise UserError(f"'{path}' holds {len(states)} states and {len(actions)} actions")
    ends = _episode_ends(arrays["ep_len"], arrays["ep_offset"], len(states), path)
    sha256 = content_sha256(arrays)
    check_numbers("state", states, path)
    filled = without_end_nans("action", actions, ends, path)
    return Recording(states.astype(np.float64), filled, ends, LAYOUT, path, sha256)


def _column(
    h5py: Any, file: Any, name: str, expected: tuple[int | None, ...], path: Path
) -> np.ndarray:
    link = file.get(name, getlink=True)
    if link is None:
        raise UserError(f"'{name}' of '{path}' is missing")
    column = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(column, h5py.Dataset) or column.is_virtual or column.external:
        raise UserError(f"'{name}' of '{path}' is not stored in the file itself")
    check_array(name, column.shape or (), column.dtype.kind, expected, path)
    if column.chunks is not None and np.prod(column.chunks, dtype=object) > MOST_VALUES:
        raise UserError(f"'{name}' of '{path}' has chunks of the shape {list(column.chunks)}")
    return np.asarray(column[:])


def _episode_ends(lengths: np.ndarray, offsets: np.ndarray, rows: int, path: Path) -> np.ndarray:
    if len(lengths) != len(offsets):
        raise UserError(f"'{path}' holds {len(lengths)} of 'ep_len', {len(offsets)} of 'ep_offset'")
    begins = [int(offset) for offset in offsets]
    ends = [begin + int(length) for begin, length in zip(begins, lengths, strict=True)]
    if begins != [0, *ends[:-1]]:
        raise UserError(f"'ep_offset' of '{path}' is not where the episode before ends")
    return checked_ends("ep_len", np.array(ends, dtype=object), rows, path)
