"""Defines the one form that every layout is read into, and what is checked in each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import FloatArray
from grasp_bench.envs.pusht.recordings import complete_states

MOST_VALUES = 10**8  # of one array; DINO-WM's training set has 3 * 10**7 numbers
_FARTHEST = 1e5  # px, px/s and rad; the workspace is 512 px wide


@dataclass(frozen=True)
class Recording:
    """Holds E episodes of Push-T, N steps in all, one after the other.

    Attributes:
        states: [N, 7] as `PushT` takes them; row t is before action t.
        actions: [N, 2] relative, in units of 100 px, as recorded. They may exceed 1, which the
            simulator clips. An episode's last action leads to no recorded state.
        episode_ends: [E] the row after each episode's last one.
        layout: how the source is stored, in words.
        path: of the source.
        sha256: of the arrays read, whatever their compression; see `content_sha256`.
    """

    states: FloatArray
    actions: NDArray[np.float32]
    episode_ends: NDArray[np.int64]
    layout: str
    path: Path
    sha256: str

    def __len__(self) -> int:
        return len(self.episode_ends)

    @property
    def episode_starts(self) -> NDArray[np.int64]:
        """Returns the first row [E] of each episode."""
        return np.concatenate([np.zeros(1, np.int64), self.episode_ends[:-1]])

    def episode(self, index: int) -> tuple[FloatArray, NDArray[np.float32]]:
        """Returns the states [T, 7] and actions [T, 2] of an episode."""
        rows = slice(int(self.episode_starts[index]), int(self.episode_ends[index]))
        return self.states[rows], self.actions[rows]


def content_sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """Returns the SHA-256 of arrays: of each its name, type and shape, then its numbers.

    Numbers are little-endian, rows first. Neither compression nor chunks enter.
    """
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        stored = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{name} {stored.dtype.str} {stored.shape}\n".encode())
        digest.update(stored.tobytes())
    return digest.hexdigest()


def import_library(module: str, path: Path) -> Any:
    """Imports a library that reads a layout.

    Raises:
        UserError: it is not installed; the sentence names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(
            f"'{path}' cannot be read without '{module}': pip install 'grasp-bench[data]'"
        ) from error


def check_array(
    name: str, shape: tuple[int, ...], kind: str, expected: tuple[int | None, ...], path: Path
) -> None:
    """Checks an array before it is read.

    Args:
        name: of the array in its source.
        shape, kind: its shape and numpy's letter of its type.
        expected: a size, or None for any, of each dimension. Two dimensions or more hold floating
            point numbers, one dimension whole numbers.
        path: of the source.

    Raises:
        UserError: it is empty, too large, or of another shape or type.
    """
    wanted = ", ".join("N" if size is None else str(size) for size in expected)
    fits = len(shape) == len(expected) and all(
        size in (None, found) for found, size in zip(shape, expected, strict=True)
    )
    if not fits:
        raise UserError(f"'{name}' of '{path}' has the shape {list(shape)[:8]}, not [{wanted}]")
    kinds = "f" if len(expected) > 1 else "iu"
    if kind not in kinds:
        what = "floating point" if kinds == "f" else "whole"
        raise UserError(f"'{name}' of '{path}' does not hold {what} numbers")
    if not 0 < _product(shape) <= MOST_VALUES:
        raise UserError(
            f"'{name}' of '{path}' has the shape {list(shape)}: expected 1 to {MOST_VALUES} numbers"
        )


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= max(int(size), 0)
    return product


def checked_ends(name: str, ends: np.ndarray, rows: int, path: Path) -> NDArray[np.int64]:
    """Returns episode ends [E]; they increase from above 0 to the number of rows.

    Raises:
        UserError: they do not.
    """
    values = [int(end) for end in ends]
    if values[0] < 1 or any(b <= a for a, b in pairwise(values)):
        raise UserError(f"'{name}' of '{path}' does not increase from episode to episode")
    if values[-1] != rows:
        raise UserError(f"'{name}' of '{path}' ends at {values[-1]}, but there are {rows} steps")
    return np.array(values, dtype=np.int64)


def check_numbers(name: str, array: np.ndarray, path: Path) -> None:
    """Checks that all numbers of an array are finite and of a size that Push-T has.

    Raises:
        UserError: one is not.
    """
    if not np.isfinite(array).all():
        raise UserError(f"'{name}' of '{path}' holds numbers that are not finite")
    if np.abs(array).max() > _FARTHEST:
        raise UserError(f"'{name}' of '{path}' holds numbers beyond {_FARTHEST:g}")


def without_end_nans(
    name: str, actions: np.ndarray, ends: NDArray[np.int64], path: Path
) -> NDArray[np.float32]:
    """Returns actions [N, 2] with zeros where an episode's last action is missing (NaN).

    Raises:
        UserError: another action is not finite.
    """
    last = actions[ends - 1]
    filled = np.array(actions, dtype=np.float32)
    filled[ends - 1] = np.where(np.isnan(last), 0, last)
    if not np.isfinite(filled).all():
        row = int(np.flatnonzero(~np.isfinite(filled).all(axis=1))[0])
        raise UserError(
            f"'{name}' of '{path}' is not finite in row {row}: only an episode's last may be NaN"
        )
    check_numbers(name, filled, path)
    return filled


def with_velocities(
    poses: np.ndarray, targets: np.ndarray, ends: NDArray[np.int64], path: Path
) -> tuple[FloatArray, NDArray[np.float32]]:
    """Returns states [N, 7] and relative actions [N, 2] of a source without velocities.

    Raises:
        UserError: an episode's agent does not follow Push-T's controller from rest.
    """
    parts = []
    begin = 0
    for index, end in enumerate(ends.tolist()):
        try:
            parts.append(complete_states(poses[begin:end], targets[begin:end]))
        except ValueError as error:
            raise UserError(
                f"velocities of episode {index} of '{path}' cannot be reconstructed: {error}"
            ) from error
        begin = end
    states, actions = zip(*parts, strict=True)
    return np.concatenate(states), np.concatenate(actions)
