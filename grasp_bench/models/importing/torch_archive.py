"""Reads what `torch.save` wrote, without unpickling it: tensors and the structure around them."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from grasp_bench.core.errors import UserError, one_line
from grasp_bench.core.json_files import shown
from grasp_bench.core.plain_pickle import Global, plain_keys, step_through

_LARGEST_PICKLE = 2**23  # bytes; those of the originals take a hundredth
MOST_TENSORS, _DEEPEST = 20_000, 64
_TIMES_THE_FILE = 4  # bytes of all tensors: some share a storage, and copies of one are few
_TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


@dataclass
class Record:
    """Stands for an object of any other class: its name, arguments and state.

    Attributes:
        name: of the class or function, `module name`.
        arguments: it was made with.
        state: it was given afterwards.
    """

    name: str
    arguments: object = ()
    state: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Storage:
    """Stands for the numbers of a tensor, a member of the archive."""

    key: str
    dtype: torch.dtype
    count: int


def read_torch_archive(path: Path) -> object:
    """Reads a file that `torch.save` wrote since version 1.6.

    Tensors are tensors on the CPU; lists, tuples and dictionaries are these; an object of any
    other class is a `Record`.

    Raises:
        UserError: the file cannot be read, is no such archive, is damaged or compressed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(names) != 1 or names[0].count("/") != 1:
                raise ValueError("it holds no data.pkl")
            content = _member(archive, names[0], _LARGEST_PICKLE)
            meaning = _Meaning(archive, names[0].partition("/")[0], path.stat().st_size)
            return step_through(content, meaning)
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged archive may raise anything
        reason = one_line(str(error) or type(error).__name__, 200)
        raise UserError(f"'{path}' is not a readable torch.save archive: {reason}") from error


def named_tensors(value: object) -> dict[str, Tensor]:
    """Returns the parameters and buffers of a recorded module, by their names in a state dict.

    Raises:
        UserError: it is no module, or nested too deeply.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in _walk(value, "", 0):
        found[name] = tensor
        if len(found) > MOST_TENSORS:
            raise UserError(f"a module holds more than {MOST_TENSORS} tensors")
    return found


def _walk(module: object, prefix: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(module, Record) or depth > _DEEPEST:
        raise UserError(f"{shown(prefix or 'the checkpoint')} is no module, or nested too deeply")
    for part in ("_parameters", "_buffers"):
        for name, value in _mapping(module.state.get(part, {})).items():
            if isinstance(value, Tensor):
                yield f"{prefix}{name}", value
    for name, inner in _mapping(module.state.get("_modules", {})).items():
        if inner is not None:
            yield from _walk(inner, f"{prefix}{name}.", depth + 1)


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


class _Meaning:
    """Makes tensors of the archive's members, and records of everything else."""

    def __init__(self, archive: zipfile.ZipFile, root: str, size: int) -> None:
        """Takes the archive, the folder in it, and its size in bytes."""
        self._archive, self._root, self._size = archive, root, size
        self._read: dict[str, Tensor] = {}
        self._tensors, self._bytes_read, self._bytes_made = 0, 0, 0

    def named(self, name: str) -> Global:
        return Global(name)

    def called(self, function: object, arguments: object) -> object:
        if not isinstance(function, Global):
            raise ValueError("it calls something without a name")
        match function.name, arguments:
            case (
                "torch._utils _rebuild_tensor_v2",
                (_Storage() as storage, int() as offset, tuple() as size, tuple() as stride, *_),
            ):
                return self._tensor(storage, offset, size, stride)
            case "torch._utils _rebuild_parameter", (Tensor() as data, *_):
                return data
            case "collections OrderedDict", ():
                return {}
            case "collections OrderedDict", (list() as pairs,):
                return plain_keys((key, value) for key, value in pairs)
            case "torch Size", (tuple() as size,):
                return size
            case "copyreg _reconstructor", (Global(name), *_):
                return Record(name)
        return Record(function.name, arguments)

    def filled(self, target: object, state: object) -> None:
        if isinstance(target, Record) and isinstance(state, dict):
            target.state = state

    def outside(self, identity: object) -> object:
        match identity:
            case ("storage", Global(name), str() as key, _, int() as count):
                kind = _TYPES.get(name.partition(" ")[2])
                if kind is None or count < 0:
                    raise ValueError(f"it holds numbers of type {shown(name)}")
                return _Storage(key, kind, count)
        raise ValueError("it refers to something that is no storage")

    def _tensor(
        self, storage: _Storage, offset: int, size: tuple[Any, ...], stride: tuple[Any, ...]
    ) -> Tensor:
        sizes_ok = len(size) == len(stride) <= 16 and all(
            type(n) is int and n >= 0 for n in (*size, *stride)
        )
        if not sizes_ok or math.prod(size) > storage.count:
            raise ValueError("a tensor is larger than its storage")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if math.prod(size) and not 0 <= offset <= last < storage.count:
            raise ValueError("a tensor reaches beyond its storage")
        self._tensors += 1
        self._bytes_made += math.prod(size) * storage.dtype.itemsize
        if self._tensors > MOST_TENSORS or self._bytes_made > _TIMES_THE_FILE * self._size:
            raise ValueError("its tensors are more than the file can hold")
        return self._numbers(storage).as_strided(size, stride, offset).clone()

    def _numbers(self, storage: _Storage) -> Tensor:
        if storage.key not in self._read:
            size = storage.count * storage.dtype.itemsize
            self._bytes_read += size
            if self._bytes_read > self._size:
                raise ValueError("its storages are more than the file can hold")
            data = _member(self._archive, f"{self._root}/data/{storage.key}", size)
            if len(data) != size:
                raise ValueError(f"a storage has {len(data)} bytes instead of {size}")
            empty = torch.empty(0, dtype=storage.dtype)
            numbers = torch.frombuffer(bytearray(data), dtype=storage.dtype) if size else empty
            self._read[storage.key] = numbers
        numbers = self._read[storage.key]
        if numbers.dtype != storage.dtype or len(numbers) != storage.count:
            raise ValueError("two tensors read one storage differently")
        return numbers


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Returns the bytes of a member, which torch.save stores as they are."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("it is compressed, which torch.save does not do")
    if info.file_size > most:
        raise ValueError(f"{shown(name)} has {info.file_size} bytes, where {most} are expected")
    return archive.read(info)
