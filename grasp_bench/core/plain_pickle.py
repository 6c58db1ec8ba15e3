"""Steps through a pickle without unpickling it.

A pickle is a program, and Python's own reader runs whatever function it names. This one builds
lists, tuples, dictionaries, numbers and texts. What a name, a call or a state in the file stands
for is its user's to say: no name is ever looked up.
"""

from __future__ import annotations

import io
import pickletools
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from types import NoneType
from typing import Any, Protocol

_MARK = object()
_MOST_OPERATIONS = 2**20  # of files that are read here, a few ten thousand
_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class Global:
    """Stands for a name in the file, as `module name`."""

    name: str


class Meaning(Protocol):
    """Says what the names, calls, states and outside objects of a pickle stand for.

    Each method raises ValueError for what it does not know.
    """

    def named(self, name: str) -> Global:
        """Returns what stands for a name, `module name`."""
        ...

    def called(self, function: object, arguments: object) -> object:
        """Returns what calling or instantiating something would give."""
        ...

    def filled(self, target: object, state: object) -> None:
        """Gives an object its state."""
        ...

    def outside(self, identity: object) -> object:
        """Returns the object that lies outside the pickle under that identity."""
        ...


def step_through(content: bytes, meaning: Meaning) -> object:
    """Returns what a pickle makes.

    Raises:
        ValueError, TypeError, IndexError, KeyError: it is damaged, or does something else.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a text of the oldest form may hold odd escapes
        return _stepped_through(content, meaning)


def _stepped_through(content: bytes, meaning: Meaning) -> object:
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for number, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(content))):
        if number > _MOST_OPERATIONS:
            raise ValueError(f"it has more than {_MOST_OPERATIONS} operations")
        name = opcode.name
        if name in _VALUES:
            stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"):
            stack.append({} if name == "EMPTY_DICT" else [])
        elif name in _TUPLES:
            items = [stack.pop() for _ in range(_TUPLES[name])]
            stack.append(tuple(reversed(items)))
        elif name in ("TUPLE", "LIST", "DICT"):
            items = _down_to_mark(stack)
            stack.append(
                tuple(items) if name == "TUPLE" else items if name == "LIST" else _pairs(items)
            )
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            items = [stack.pop()] if name == "APPEND" else _down_to_mark(stack)
            _expect(stack[-1], list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else _down_to_mark(stack)
            _expect(stack[-1], dict).update(_pairs(items))
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "GLOBAL":
            stack.append(meaning.named(str(argument)))
        elif name == "STACK_GLOBAL":
            attribute, module = _expect(stack.pop(), str), _expect(stack.pop(), str)
            stack.append(meaning.named(f"{module} {attribute}"))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = stack.pop(), stack.pop()
            stack.append(meaning.called(function, arguments))
        elif name == "BUILD":
            state = stack.pop()
            meaning.filled(stack[-1], state)
        elif name == "BINPERSID":
            stack.append(meaning.outside(stack.pop()))
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


def plain_keys(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Returns pairs as a dictionary.

    A key must be plain: the hash of tuples of tuples that share their parts takes for ever.

    Raises:
        ValueError: one is not.
    """
    made = {}
    for key, value in pairs:
        if not isinstance(key, str | int | float | bytes | NoneType | Global):
            raise ValueError(f"a key is a {type(key).__name__}")
        made[key] = value
    return made


def _pairs(items: list[Any]) -> dict[Any, Any]:
    """Returns keys and values that follow one another as a dictionary."""
    if len(items) % 2:
        raise ValueError("a key has no value")
    return plain_keys(zip(items[::2], items[1::2], strict=True))


def _expect(value: Any, kind: type[Any]) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"it has a {type(value).__name__} where a {kind.__name__} belongs")
    return value
