"""Reads DINO-WM's `pusht_noise`: the folder train/ or val/, padded tensors and a pickle.

`states.pth` [E, T, 5], `velocities.pth` [E, T, 2] (px/s), `rel_actions.pth` [E, T, 2] (px) and
`seq_lengths.pkl`, the steps of each episode.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from grasp_bench.core.errors import UserError
from grasp_bench.core.plugins import foreign_code
from grasp_bench.envs.pusht.recordings import absolute_targets
from grasp_bench.envs.pusht.simulator import ACTION_SCALE
from grasp_bench.tasks.importing.pickled_numbers import read_whole_numbers
from grasp_bench.tasks.importing.recording import (
    Recording,
    check_array,
    check_numbers,
    content_sha256,
    with_velocities,
)

LAYOUT = "DINO-WM pusht_noise"
_STATES, _VELOCITIES, _ACTIONS = "states.pth", "velocities.pth", "rel_actions.pth"
_LENGTHS = "seq_lengths.pkl"
_LARGEST_FILE = 2**30  # bytes; the published states take 91 MB


def fits(path: Path) -> bool:
    """Tells whether a folder is one of DINO-WM's."""
    return (path / _STATES).exists()


def read(path: Path) -> Recording:
    """Reads a folder; velocities are reconstructed where `velocities.pth` is absent.

    Raises:
        UserError: a file is missing, damaged, or not what Push-T has.
    """
    lengths = _lengths(path)
    states = _read_tensor(path, _STATES, (len(lengths), None, 5))
    episodes, longest, _ = states.shape
    arrays = {_STATES: states, _ACTIONS: _read_tensor(path, _ACTIONS, (episodes, longest, 2))}
    if (path / _VELOCITIES).exists():
        arrays[_VELOCITIES] = _read_tensor(path, _VELOCITIES, (episodes, longest, 2))
    if not 1 <= int(lengths.min()) <= int(lengths.max()) <= longest:
        raise UserError(
            f"'{_LENGTHS}' of '{path}' holds lengths from {lengths.min()} to {lengths.max()}: "
            f"the tensors are {longest} steps long"
        )
    real = np.arange(longest) < lengths[:, None]  # the rest is padding
    rows = {name: array[real] for name, array in arrays.items()}
    sha256 = content_sha256({**rows, _LENGTHS: lengths})
    for name, array in rows.items():
        check_numbers(name, array, path)
    ends = np.cumsum(lengths)
    poses = rows[_STATES].astype(np.float64)
    actions = (rows[_ACTIONS].astype(np.float64) / ACTION_SCALE).astype(np.float32)
    if _VELOCITIES in rows:
        completed = np.concatenate([poses, rows[_VELOCITIES].astype(np.float64)], axis=1)
    else:
        completed, _ = with_velocities(poses, absolute_targets(poses[:, :2], actions), ends, path)
    return Recording(completed, actions, ends, LAYOUT, path, sha256)


def _lengths(path: Path) -> np.ndarray:
    if not (path / _LENGTHS).is_file():
        raise UserError(f"'{_LENGTHS}' of '{path}' is missing")
    lengths = read_whole_numbers(path / _LENGTHS)
    check_array(_LENGTHS, lengths.shape, lengths.dtype.kind, (None,), path)
    return lengths


def _read_tensor(folder: Path, name: str, expected: tuple[int | None, ...]) -> np.ndarray:
    """Reads a tensor; of what torch can store, plain tensors only."""
    import torch

    path = folder / name
    if not path.is_file():
        raise UserError(f"'{name}' of '{folder}' is missing")
    if (size := path.stat().st_size) > _LARGEST_FILE:
        raise UserError(f"'{path}' is {size} bytes large: expected at most {_LARGEST_FILE}")
    with foreign_code(f"'{path}' is no tensor"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensor = torch.load(path, map_location="cpu", weights_only=True)
    if not (isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided):
        raise UserError(f"'{path}' holds a {type(tensor).__name__}, not a tensor")
    kind = "f" if tensor.is_floating_point() else "i"
    check_array(name, tuple(tensor.shape), kind, expected, folder)
    if tensor.numel() * tensor.element_size() > size:
        raise UserError(f"'{path}' is smaller than the tensor that it describes")
    if tensor.dtype not in (torch.float32, torch.float64):
        raise UserError(f"'{path}' holds {tensor.dtype}, not 32-bit or 64-bit floats")
    return tensor.detach().numpy()
