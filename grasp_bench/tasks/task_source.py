"""Says where the tasks of a file come from, in the file's own metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from grasp_bench.core.errors import UserError, one_line
from grasp_bench.core.json_files import parse_json, typed

_KEY = b"grasp_bench_source"
_LONGEST = 2**16  # bytes


@dataclass(frozen=True)
class TaskSource:
    """Holds where imported tasks come from.

    Attributes:
        name: of the task set.
        layout: how the recording is stored, in words.
        sha256: of the recording's arrays, `Recording.sha256`.
        options: that the windows were cut with.
    """

    name: str
    layout: str
    sha256: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        given = ", ".join(f"{key} {_shown(value)}" for key, value in self.options.items())
        return one_line(f"{self.layout} {self.sha256[:12]}: {given}")

    def metadata(self) -> dict[bytes, bytes]:
        """Returns the entry of a parquet file's metadata. The same source gives the same bytes."""
        return {_KEY: json.dumps(asdict(self), sort_keys=True).encode()}


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "/".join(map(str, value))
    if isinstance(value, dict):
        return " ".join(f"{key} {share}" for key, share in value.items())
    return str(value)


def read_source(schema: pa.Schema) -> TaskSource | None:
    """Returns what a file's schema says about its source, None if it says nothing.

    Raises:
        UserError: what it says is not a source.
    """
    content = (schema.metadata or {}).get(_KEY)
    if content is None:
        return None
    try:
        if len(content) > _LONGEST:
            raise ValueError(f"it is longer than {_LONGEST} bytes")
        return typed(TaskSource, parse_json(content), "the source")
    except ValueError as error:
        raise UserError(f"the task file's source cannot be read: {error}") from error
