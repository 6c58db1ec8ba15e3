"""Mutates bytes, JSON, safetensors headers and tables; the random generator is an argument."""

import copy
import json
import pickle
from random import Random

import pyarrow as pa

DEEP = "@deep"
VALUES = (
    *(None, True, False, 0, 1, -1, 3, 64, 2**31, 10**9, 10**30, -(10**12), 0.0, 0.5, -2.5, 1e308),
    *(float("nan"), float("inf"), "", "text", "none", "64", "two\nlines", "\ud800", "x" * 10**6),
    *([], {}, [0], [[]], {"a": 1}, [1e9] * 1000, DEEP),
)

SIZES = (0, -1, 2, 7, 64, 10**4, 10**6, 10**8, 10**9)


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


def mutate_bytes(rng: Random, data: bytes) -> bytes:
    """Flips bits, truncates, or repeats, drops or overwrites a span."""
    changed = bytearray(data)
    begin = rng.randrange(len(data))
    # Half of all faults lie in the first thousand bytes, where headers are.
    begin = begin % 1000 if rng.random() < 0.5 else begin
    end = min(len(data), begin + 1 + int(10 ** rng.uniform(0, 4)))
    match rng.choice(["flip", "flips", "truncate", "repeat", "drop", "zero", "noise", "append"]):
        case "flip":
            changed[begin] ^= 1 << rng.randrange(8)
        case "flips":
            for _ in range(20):
                changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case "truncate":
            del changed[begin:]
        case "repeat":
            changed[end:end] = changed[begin:end] * rng.choice([1, 10])
        case "drop":
            del changed[begin:end]
        case "zero":
            changed[begin:end] = bytes(end - begin)
        case "noise":
            changed[begin:end] = rng.randbytes(end - begin)
        case "append":
            changed += rng.randbytes(rng.randrange(1, 100))
    return bytes(changed)


def mutate_json(rng: Random, content: object, within: str | None = None) -> bytes:
    """Replaces, removes, renames or adds a value, by preference somewhere in a key's value."""
    changed = copy.deepcopy(content)
    places = list(_places(changed))
    inner = [place for place in places if within in place[0]]
    holder_path, key = rng.choice(inner if inner and rng.random() < 0.7 else places)
    holder = changed
    for part in holder_path:
        holder = holder[part]
    match rng.choice(["value"] * 3 + ["size"] * 3 + ["remove", "rename", "add"]):
        case "value":
            holder[key] = rng.choice(VALUES)
        case "size":
            holder[key] = rng.choice(SIZES)
        case "remove":
            del holder[key]
        case "rename" if isinstance(holder, dict):
            holder[rng.choice(["", "10", "-1", "x" * 1000, "blocks"])] = holder.pop(key)
        case "add" if isinstance(holder, dict):
            holder[rng.choice(["", "more", "30", "prior", "_class"])] = rng.choice(VALUES)
        case _:
            holder.insert(0, rng.choice(VALUES)) if isinstance(holder, list) else None
    text = json.dumps(changed)
    return text.replace(f'"{DEEP}"', "[" * 10_000 + "]" * 10_000).encode()


def _places(value, path=()):
    """Yields the path to the holder, and the key, of every value in JSON."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield path, key
        yield from _places(value[key], (*path, key))


def mutate_header(rng: Random, data: bytes) -> bytes:
    """Changes the JSON in front of a safetensors file's numbers, and its length with it."""
    length = int.from_bytes(data[:8], "little")
    header = mutate_json(rng, json.loads(data[8 : 8 + length]))
    stated = len(header) if rng.random() < 0.9 else rng.choice([0, 1, 2**31, 2**63, 2**64 - 1])
    return stated.to_bytes(8, "little") + header + data[8 + length :]


def a_pickle(rng: Random, marker) -> bytes:
    """Returns a pickle that writes the file `marker` when somebody loads it."""
    return pickle.dumps(Payload(marker), protocol=rng.choice([0, 2, 4]))


def mutate_table(rng: Random, table: pa.Table) -> pa.Table:
    """Changes a column's type, values, nulls, name or place, the rows, or the metadata."""
    place = rng.randrange(table.num_columns)
    field, column = table.schema.field(place), table.column(place)
    rows = column.to_pylist()
    row = rng.randrange(len(rows))
    kind = field.type
    match rng.choice(["type", "value", "value", "value", "rename", "drop", "twice", "rows", "key"]):
        case "type":
            kind = rng.choice(
                [pa.null(), pa.int8(), pa.float64(), pa.binary(), pa.list_(pa.null())]
            )
            rows = [None] * len(rows)
        case "value":
            rows[row] = _other_value(rng, rows[row])
        case "rename":
            field = field.with_name(rng.choice(["", "x" * 10**5, "id", "\n"]))
        case "drop":
            return table.remove_column(place)
        case "twice":
            return table.append_column(field, column)
        case "rows":
            return rng.choice(
                [table.slice(0, 0), pa.concat_tables([table] * 3), table.slice(row, 1)]
            )
        case "key":
            name = rng.choice([b"", b"\xff", b"a\nb", b"os:system", b"x" * 10**7, b"./a.py:b"])
            return table.replace_schema_metadata(dict.fromkeys(table.schema.metadata or {}, name))
    try:
        return table.set_column(place, pa.field(field.name, kind), pa.array(rows, kind))
    except (pa.ArrowException, OverflowError):
        return table.remove_column(place)


def _other_value(rng: Random, value: object) -> object:
    if isinstance(value, list) and value and rng.random() < 0.7:
        inner = list(value)
        inner[rng.randrange(len(inner))] = rng.choice(
            [None, float("nan"), float("inf"), -1e300, 0.0]
        )
        return inner
    if isinstance(value, list):
        return rng.choice([None, [], value[:-1], value * 2])
    if isinstance(value, str):
        return rng.choice([None, "", "\n", "../x", "x" * 10**6, value[::-1]])
    return rng.choice([None, 0, 1, -1, 2**31 - 1, -(2**31)])
