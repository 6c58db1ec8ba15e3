"""Tells from a path which layout it is, and reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from grasp_bench.core.errors import UserError
from grasp_bench.tasks.importing import (
    dinowm_folder,
    hdf5_file,
    lance_table,
    lerobot_folder,
    zarr_store,
)
from grasp_bench.tasks.importing.recording import Recording

_KNOWN = (
    "expected a diffusion-policy .zarr folder, a train/ or val/ folder of DINO-WM's pusht_noise, "
    "a stable-worldmodel .h5 file or .lance folder"
)
_FOLDERS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Recording]], ...] = (
    (lerobot_folder.fits, lerobot_folder.read),
    (zarr_store.fits, zarr_store.read),
    (dinowm_folder.fits, dinowm_folder.read),
    (lance_table.fits, lance_table.read),
)


def read_recording(path: Path) -> Recording:
    """Reads a recording of Push-T; its layout follows from the path.

    Raises:
        UserError: there is nothing, it is of no known layout, or it is damaged.
    """
    if not path.exists():
        raise UserError(f"there is no recording at '{path}': {_KNOWN}")
    if path.is_file():
        if hdf5_file.fits(path):
            return hdf5_file.read(path)
        raise UserError(f"'{path}' is no recording: {_KNOWN}")
    for fits, read in _FOLDERS:
        if fits(path):
            return read(path)
    inside = [
        child.name
        for child in sorted(path.iterdir())
        if child.is_dir() and any(fits(child) for fits, _ in _FOLDERS)
    ]
    hint = f"name a folder inside it: {', '.join(inside[:5])}" if inside else _KNOWN
    raise UserError(f"'{path}' is no recording: {hint}")
