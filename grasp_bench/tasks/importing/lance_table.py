"""Reads stable-worldmodel's Lance tables: the columns of its HDF5 files, a row per step.

`state` and `action` are lists of 7 and 2 floats. `episode_idx` and `step_idx` say which episode
and step a row is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from grasp_bench.core.errors import UserError
from grasp_bench.core.plugins import foreign_code
from grasp_bench.tasks.importing.recording import (
    Recording,
    check_array,
    check_numbers,
    checked_ends,
    content_sha256,
    import_library,
    without_end_nans,
)

LAYOUT = "stable-worldmodel Lance"
_WIDTHS = {"state": 7, "action": 2, "episode_idx": None, "step_idx": None}


def fits(path: Path) -> bool:
    """Tells whether a folder is a Lance table."""
    return path.suffix == ".lance" or (path / "_versions").is_dir()


def read(path: Path) -> Recording:
    """Reads a table.

    Raises:
        UserError: a column is missing, damaged, or not what Push-T has.
    """
    lance = import_library("lance", path)
    with foreign_code(f"'{path}' cannot be read as a Lance table"):
        dataset = lance.dataset(str(path))
        rows, schema = int(dataset.count_rows()), dataset.schema
        for name, width in _WIDTHS.items():
            _check_column(schema, name, width, rows, path)
        table = dataset.to_table(columns=list(_WIDTHS))
        arrays = {name: _numbers(table[name], width) for name, width in _WIDTHS.items()}
    states, actions = arrays["state"], arrays["action"]
    ends = _episode_ends(arrays["episode_idx"], arrays["step_idx"], path)
    sha256 = content_sha256(arrays)
    check_numbers("state", states, path)
    filled = without_end_nans("action", actions, ends, path)
    return Recording(states.astype(np.float64), filled, ends, LAYOUT, path, sha256)


def _check_column(schema: Any, name: str, width: int | None, rows: int, path: Path) -> None:
    if name not in schema.names:
        raise UserError(f"'{name}' of '{path}' is missing")
    found = schema.field(name).type
    listed = pa.types.is_fixed_size_list(found)
    number = found.value_type if listed else found
    kind = "i" if pa.types.is_integer(number) else "f" if pa.types.is_floating(number) else "O"
    shape = (rows, found.list_size) if listed else (rows,)
    check_array(name, shape, kind, (None,) if width is None else (None, width), path)


def _numbers(column: Any, width: int | None) -> np.ndarray:
    if column.null_count:
        raise ValueError("a column holds nulls")
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks)
    if width is None:
        return np.asarray(values.to_numpy(zero_copy_only=False))
    flat = values.flatten()
    if flat.null_count or len(flat) != width * len(column):
        raise ValueError("a column holds nulls")
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(-1, width)


def _episode_ends(episodes: np.ndarray, steps: np.ndarray, path: Path) -> np.ndarray:
    begins = np.flatnonzero(np.r_[True, episodes[1:] != episodes[:-1]])
    ends = np.r_[begins[1:], len(episodes)]
    if (np.sort(episodes[begins])[1:] == np.sort(episodes[begins])[:-1]).any():
        raise UserError(f"'episode_idx' of '{path}': an episode's rows do not lie together")
    expected = np.arange(len(episodes)) - np.repeat(begins, ends - begins)
    if not np.array_equal(steps, expected):
        raise UserError(f"'step_idx' of '{path}' does not count 0, 1, 2 within each episode")
    return checked_ends("episode_idx", ends, len(episodes), path)
