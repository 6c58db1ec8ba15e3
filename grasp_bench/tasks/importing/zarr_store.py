"""Reads diffusion-policy's layout: a zarr store, of zarr's format 2 or 3.

`data/state` [N, 5], `data/action` [N, 2] absolute targets (px), `meta/episode_ends` [E]. Pictures
are not read and may be absent.

An array's own description is checked before zarr reads it. The description names the codecs that
zarr runs, and one of them unpickles.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from grasp_bench.core.errors import UserError
from grasp_bench.core.json_files import read_json, shown
from grasp_bench.core.plugins import foreign_code
from grasp_bench.tasks.importing.recording import (
    MOST_VALUES,
    Recording,
    check_array,
    check_numbers,
    checked_ends,
    content_sha256,
    import_library,
    with_velocities,
)

LAYOUT = "diffusion-policy zarr"
_STATE, _ACTION, _ENDS = "data/state", "data/action", "meta/episode_ends"
_CODECS = {"blosc", "zstd", "lz4", "gzip", "zlib", "bz2", "lzma", "shuffle", "delta"} | {
    *("bytes", "crc32c", "transpose")
}
# Of numbers, by the names of format 3.
_TYPES = {
    f"{word}{8 * size}": f"{letter}{size}"
    for word, letter in (("float", "f"), ("int", "i"), ("uint", "u"))
    for size in (1, 2, 4, 8)
}


def fits(path: Path) -> bool:
    """Tells whether a folder is a zarr store."""
    return path.suffix == ".zarr" or (path / ".zgroup").exists() or (path / "zarr.json").exists()


def read(path: Path) -> Recording:
    """Reads a store; velocities are reconstructed.

    Raises:
        UserError: an array is missing, damaged, or not what Push-T has.
    """
    states = read_array(path, _STATE, (None, 5))
    targets = read_array(path, _ACTION, (len(states), 2))
    ends = read_array(path, _ENDS, (None,))
    sha256 = content_sha256({_STATE: states, _ACTION: targets, _ENDS: ends})
    check_numbers(_STATE, states, path)
    check_numbers(_ACTION, targets, path)
    episode_ends = checked_ends(_ENDS, ends, len(states), path)
    completed, actions = with_velocities(states, targets, episode_ends, path)
    return Recording(completed, actions, episode_ends, LAYOUT, path, sha256)


def read_array(store: Path, name: str, expected: tuple[int | None, ...]) -> np.ndarray:
    """Reads one array of a store.

    Raises:
        UserError: it is missing, damaged, of another shape or type, or stored with a codec that
            is not known to be harmless.
    """
    zarr = import_library("zarr", store)
    folder = store / name
    description = _description(store, name)
    shape, chunks, kind = _facts(description, name, store)
    check_array(name, shape, kind, expected, store)
    if len(chunks) != len(shape) or not 0 < int(np.prod(chunks, dtype=object)) <= MOST_VALUES:
        raise UserError(f"'{name}' of '{store}' has chunks of the shape {list(chunks)[:8]}")
    for codec in _codecs(description):
        if codec.removeprefix("numcodecs.") not in _CODECS:
            raise UserError(
                f"'{name}' of '{store}' uses the codec {shown(codec)}, which is not read: "
                f"expected {', '.join(sorted(_CODECS))}"
            )
    with foreign_code(f"'{name}' of '{store}' is damaged"):
        array = zarr.open_array(str(folder), mode="r")
        missing = array.nchunks - array.nchunks_initialized
        if missing:
            raise UserError(f"'{name}' of '{store}' misses {missing} of {array.nchunks} chunks")
        values = np.asarray(array[:])
    if values.shape != shape or values.dtype.kind != kind:
        raise UserError(f"'{name}' of '{store}' is not what its description says")
    return values


def _description(store: Path, name: str) -> dict[str, Any]:
    files = [store / name / file for file in ("zarr.json", ".zarray")]
    found = [file for file in files if file.is_file()]
    if len(found) != 1:
        how = "has two descriptions" if found else "is missing"
        raise UserError(f"'{name}' of '{store}' {how}: expected a zarr array")
    try:
        content, _ = read_json(found[0])
    except (OSError, ValueError) as error:
        raise UserError(f"'{found[0]}' cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"'{found[0]}' does not describe an array")
    return content


def _facts(
    description: dict[str, Any], name: str, store: Path
) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    """Returns an array's shape, its chunks' shape and the letter of its type."""
    if "zarr_format" in description and description["zarr_format"] == 3:
        grid = description.get("chunk_grid")
        configuration = grid.get("configuration") if isinstance(grid, dict) else None
        chunks = configuration.get("chunk_shape") if isinstance(configuration, dict) else None
        given = description.get("data_type")
        letters = _TYPES.get(given, "") if isinstance(given, str) else ""
    else:
        chunks, given = description.get("chunks"), description.get("dtype")
        letters = given[1:] if isinstance(given, str) else ""
    if letters not in _TYPES.values():
        raise UserError(f"'{name}' of '{store}' holds {shown(given)}, not numbers")
    shape = description.get("shape")
    for sizes in (shape, chunks):
        if not isinstance(sizes, list) or not all(type(size) is int for size in sizes):
            raise UserError(f"'{name}' of '{store}' does not say its shape: {shown(sizes)}")
    assert isinstance(shape, list)
    assert isinstance(chunks, list)
    return tuple(shape), tuple(chunks), letters[0]


def _codecs(description: dict[str, Any]) -> Iterator[str]:
    """Yields the names of all codecs of an array, of either format."""
    for key in ("filters", "compressor", "codecs", "storage_transformers"):
        given = description.get(key) or []
        for codec in given if isinstance(given, list) else [given]:
            name = codec.get("id", codec.get("name")) if isinstance(codec, dict) else codec
            yield name if isinstance(name, str) else shown(name)
