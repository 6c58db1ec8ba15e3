"""Reads whole numbers from a pickle without unpickling it.

A pickle is a program, and Python's own reader runs whatever function it names. This reader steps
through the operations of a list of whole numbers or an array of them and knows no others. No name
in the file is ever looked up.
"""

from __future__ import annotations

import io
import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grasp_bench.core.errors import UserError
from grasp_bench.core.json_files import shown

_LARGEST_FILE = 2**24  # bytes
_MARK = object()
_NUMBER = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"}
_TEXT = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
_BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_VALUES = _NUMBER | _TEXT | _BYTES
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
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
class _Global:
    """Stands for a name in the file."""

    name: str


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
        found = _flat(_run(content))
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


def _run(content: bytes) -> object:
    """Steps through a pickle; returns what it makes."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(io.BytesIO(content)):
        name = opcode.name
        if name in _VALUES:
            stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name in _TUPLES:
            items = [stack.pop() for _ in range(_TUPLES[name])]
            stack.append(tuple(reversed(items)))
        elif name in ("TUPLE", "LIST"):
            items = _down_to_mark(stack)
            stack.append(tuple(items) if name == "TUPLE" else items)
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else _down_to_mark(stack)
            if not isinstance(stack[-1], list):
                raise ValueError("it appends to what is no list")
            stack[-1].extend(items)
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "GLOBAL":
            stack.append(_known(str(argument)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_known(f"{module} {attribute}"))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_call(function, arguments))
        elif name == "BUILD":
            state = stack.pop()
            _fill(stack[-1], state)
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"it uses the operation {name}")
    raise ValueError("it has no end")


def _down_to_mark(stack: list[Any]) -> list[Any]:
    items = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _known(name: str) -> _Global:
    if name not in _NUMPY:
        raise ValueError(f"it names {shown(name.replace(' ', '.'))}, which is never looked up")
    return _Global(_NUMPY[name])


def _call(function: object, arguments: object) -> object:
    """Does what numpy's functions for arrays of whole numbers do."""
    if isinstance(function, _Global) and isinstance(arguments, tuple):
        match function.name, arguments:
            case "encode", (str() as text, *_):
                return text.encode("latin-1")
            case "dtype", (str() as code, *_):
                return _Dtype(code)
            case "_reconstruct", (_Global("ndarray"), *_):
                return _Array()
            case "scalar", (_Dtype() as dtype, bytes() as data):
                (number,) = dtype.numbers(data).tolist()
                return number
            case "_frombuffer", (bytes() as data, _Dtype() as dtype, tuple() as shape, *_):
                return _Array(dtype.numbers(data).reshape(shape))
    raise ValueError("it calls something with unexpected arguments")


def _fill(target: object, state: object) -> None:
    match target, state:
        case _Dtype(), (_, "<" | ">" | "|" as order, *_):
            target.order = "<" if order == "|" else order
        case _Array(), (_, tuple() as shape, _Dtype() as dtype, _, bytes() as data):
            target.values = dtype.numbers(data).reshape(shape)
        case _:
            raise ValueError("it sets up something with an unexpected state")
