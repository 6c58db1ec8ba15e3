"""Reads whole numbers from a pickle without unpickling it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grasp_bench.core.errors import UserError
from grasp_bench.core.json_files import shown
from grasp_bench.core.plain_pickle import Global, step_through

_LARGEST_FILE = 2**24  # bytes
_NUMPY = (
    {
        f"numpy.{core}.multiarray {name}": name
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    }
    | {f"numpy.{core}.numeric _frombuffer": "_frombuffer" for core in ("core", "_core")}
    | {"numpy ndarray": "ndarray", "numpy dtype": "dtype", "_codecs encode": "encode"}
)


@dataclass
class _Dtype:
    """Stands for a numpy type: its letter and size, as `i8`, and `<` or `>`."""

    code: str
    order: str = "<"

    def numbers(self, data: Any) -> NDArray[np.int64]:
        if not (isinstance(data, bytes) and self.code in _INTEGERS and self.order in ("<", ">")):
            raise ValueError("it holds an array of something else than whole numbers")
        return np.frombuffer(data, self.order + self.code).astype(np.int64)


@dataclass
class _Array:
    """Stands for a numpy array, which is filled after it was made."""

    values: NDArray[np.int64] | None = None


_INTEGERS = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)}


def read_whole_numbers(path: Path) -> NDArray[np.int64]:
    """Reads a pickled list, tuple or array of whole numbers.

    Returns:
        [K], K at least 1.

    Raises:
        UserError: the file is too large or damaged, or its pickle does anything else.
    """
    with path.open("rb") as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise UserError(f"'{path}' is larger than {_LARGEST_FILE} bytes")
    try:
        found = _flat(step_through(content, _WholeNumbers()))
        if found.ndim != 1 or not len(found):
            raise ValueError(f"its shape is {list(found.shape)}, not [K]")
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, MemoryError) as error:
        raise UserError(f"'{path}' is no pickled list of whole numbers: {error}") from error
    return found


def _flat(value: object) -> NDArray[np.int64]:
    if isinstance(value, _Array) and value.values is not None:
        return value.values
    if isinstance(value, (list, tuple)) and all(type(item) is int for item in value):
        return np.array(value, dtype=np.int64)
    raise ValueError(f"it holds {shown(value)}"[:200])


class _WholeNumbers:
    """Does what numpy's functions for arrays of whole numbers do, and nothing else."""

    def named(self, name: str) -> Global:
        if name not in _NUMPY:
            raise ValueError(f"it names {shown(name.replace(' ', '.'))}, which is never looked up")
        return Global(_NUMPY[name])

    def called(self, function: object, arguments: object) -> object:
        if isinstance(function, Global) and isinstance(arguments, tuple):
            match function.name, arguments:
                case "encode", (str() as text, *_):
                    return text.encode("latin-1")
                case "dtype", (str() as code, *_):
                    return _Dtype(code)
                case "_reconstruct", (Global("ndarray"), *_):
                    return _Array()
                case "scalar", (_Dtype() as dtype, bytes() as data):
                    (number,) = dtype.numbers(data).tolist()
                    return number
                case "_frombuffer", (bytes() as data, _Dtype() as dtype, tuple() as shape, *_):
                    return _Array(dtype.numbers(data).reshape(shape))
        raise ValueError("it calls something with unexpected arguments")

    def filled(self, target: object, state: object) -> None:
        match target, state:
            case _Dtype(), (_, "<" | ">" | "|" as order, *_):
                target.order = "<" if order == "|" else order
            case _Array(), (_, tuple() as shape, _Dtype() as dtype, _, bytes() as data):
                target.values = dtype.numbers(data).reshape(shape)
            case _:
                raise ValueError("it sets up something with an unexpected state")

    def outside(self, identity: object) -> object:
        raise ValueError("it refers to something outside itself")
