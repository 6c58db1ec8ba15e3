"""Reads JSON that anybody may have written: bounded, and checked against a type."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints
from typing import is_typeddict as _is_typed_dict

from grasp_bench.core.errors import one_line

T = TypeVar("T")

LARGEST_FILE = 2**23  # bytes; JSON takes some fifty times as much in memory
DEEPEST = 50  # levels
_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def read_json(path: Path) -> tuple[Any, bytes]:
    """Reads a JSON file; returns what it says and its bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, no JSON, or nested too deeply.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ValueError(f"larger than {LARGEST_FILE} bytes")
    return parse_json(data), data


def parse_json(data: bytes) -> Any:
    """Parses JSON in UTF-8.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    too_deep = f"nested more than {DEEPEST} levels deep"
    try:
        content = json.loads(data.decode())
    except RecursionError as error:
        raise ValueError(too_deep) from error
    level, depth = [content], 0
    while level := [inner for outer in level for inner in _inside(outer)]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(too_deep)
    return content


def shown(value: object) -> str:
    """Returns a value of a file as an error names it: short, in one line."""
    return one_line(reprlib.repr(value))


def typed(kind: type[T], value: object, where: str) -> T:
    """Returns a JSON value as a type: plain, Literal, a union, list, mapping or dataclass.

    A whole number counts as a float, and a float must be finite. A dataclass knows all its
    fields. A TypedDict leaves keys out that it does not know.

    Args:
        kind: the type.
        value: as `parse_json` returns it.
        where: names the value in an error.

    Raises:
        ValueError: the value is of another type; the message says which and where.
    """
    return cast(T, _typed(kind, value, where))


def _typed(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in (Any, object):
        return value
    if is_dataclass(kind) or _is_typed_dict(kind):
        return _fields(kind, value, where)
    if origin in (Union, UnionType):
        return _one_of(arguments, value, where)
    if origin is Literal:
        if any(value == known and type(value) is type(known) for known in arguments):
            return value
        raise _other(where, value, f"one of {', '.join(map(str, arguments))}")
    if origin is list:
        if not isinstance(value, list):
            raise _other(where, value, "a list")
        return [_typed(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        of_key, of_value = arguments
        return {
            _key(of_key, key, where): _typed(of_value, item, f"{where}.{shown(key)}")
            for key, item in _mapping(value, where).items()
        }
    return _plain(kind, value, where)


def _plain(kind: Any, value: Any, where: str) -> Any:
    if kind is float and type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise _other(where, value, "a number") from error
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise _other(where, value, "null" if kind is NoneType else _EXPECTED[kind])
    return value


def _one_of(options: tuple[Any, ...], value: Any, where: str) -> Any:
    errors = []
    for option in options:
        try:
            return _typed(option, value, where)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def _fields(kind: Any, value: Any, where: str) -> Any:
    given, hints = _mapping(value, where), get_type_hints(kind)
    if is_dataclass(kind):
        made = [field for field in fields(kind) if field.init]
        required = [f.name for f in made if f.default is MISSING and f.default_factory is MISSING]
        for name in given:
            if name not in {field.name for field in made}:
                raise ValueError(f"{where} has an unknown field {shown(name)}")
    else:
        required = list(kind.__required_keys__)
    for name in required:
        if name not in given:
            raise ValueError(f"{where} has no '{name}'")
    return kind(
        **{
            name: _typed(hints[name], item, f"{where}.{name}")
            for name, item in given.items()
            if name in hints
        }
    )


def _key(kind: Any, key: str, where: str) -> Any:
    if kind is not int:
        return key
    if not (key.isdecimal() and key.isascii() and len(key) < 10 and key == str(int(key))):
        raise _other(f"a key of {where}", key, "a whole number")
    return int(key)


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _other(where, value, "a mapping")
    return value


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _other(where: str, value: Any, expected: str) -> ValueError:
    return ValueError(f"{where} is {shown(value)}, not {expected}")
