"""Reads and writes the parquet file of a task set, and checks every value that it reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from grasp_bench.core.errors import UserError
from grasp_bench.core.files import write_atomically
from grasp_bench.core.json_files import shown
from grasp_bench.core.types import Task
from grasp_bench.envs import Environment, get_environment

ENVIRONMENT_KEY = b"grasp_bench_environment"
_LARGEST_FILE = 2**28  # bytes
_MOST_VALUES = 10**7  # some thirty times those of a shipped set
_LONGEST_NAME = 200  # characters


def task_schema(state_dim: int) -> pa.Schema:
    """Returns the columns of a task file."""
    return pa.schema(
        [
            ("id", pa.string()),
            ("horizon", pa.int32()),
            ("start_state", pa.list_(pa.float64(), state_dim)),
            ("goal_state", pa.list_(pa.float64(), state_dim)),
            ("demo_actions", pa.list_(pa.float32())),
        ]
    )


def write_task_file(path: Path, tasks: Sequence[Task], schema: pa.Schema) -> str:
    """Writes tasks, and what the schema's metadata says; returns the file's SHA-256."""
    rows = [
        {
            "id": task.id,
            "horizon": task.horizon,
            "start_state": task.start_state.tolist(),
            "goal_state": task.goal_state.tolist(),
            "demo_actions": task.demo_actions.astype(np.float32).ravel().tolist(),
        }
        for task in tasks
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema), sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def read_task_file(path: Path) -> tuple[pa.Table, str, str]:
    """Reads a file's table, its environment's name and its SHA-256.

    Raises:
        UserError: it is no task file, or a value in it is none that a task has.
    """
    with path.open("rb") as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise UserError(f"'{path}' is larger than {_LARGEST_FILE} bytes: it is no task file")
    try:
        parquet = pq.ParquetFile(pa.BufferReader(content))
        schema, values = parquet.schema_arrow, _count_values(parquet.metadata)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"'{path}' is not a complete parquet file") from error
    key = (schema.metadata or {}).get(ENVIRONMENT_KEY)
    if key is None or schema.names != task_schema(1).names or not values:
        raise UserError(f"'{path}' is parquet, but not a task file of grasp-bench")
    name = key[:_LONGEST_NAME].decode(errors="replace")
    if not name.isprintable():
        raise UserError(f"the task file '{path}' names no environment: {shown(name)}")
    environment = get_environment(name)
    for field in task_schema(environment.state_dim):
        if (found := schema.field(field.name).type) != field.type:
            raise UserError(
                f"column '{field.name}' of the task file '{path}' is {str(found)[:100]}, "
                f"not {field.type}"
            )
    if values > _MOST_VALUES:
        raise UserError(f"the task file '{path}' holds more than {_MOST_VALUES} numbers")
    try:
        table = parquet.read()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"'{path}' is not a complete parquet file") from error
    if wrong := _wrong_value(table, environment):
        raise UserError(f"the task file '{path}' holds {wrong}")
    return table, name, hashlib.sha256(content).hexdigest()


def _count_values(metadata: pq.FileMetaData) -> int:
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    return sum(
        abs(group.column(index).num_values)
        for group in groups
        for index in range(group.num_columns)
    )


def _wrong_value(table: pa.Table, environment: Environment) -> str | None:
    """Says which value no task has, None if there is none."""
    for name in table.column_names:
        column = table[name]
        listed = pa.types.is_nested(column.type)
        values = pc.list_flatten(column) if listed else column
        if column.null_count or values.null_count:
            return f"nulls in column '{name}'"
        if listed and not pc.all(pc.is_finite(values)).as_py():
            return f"numbers in column '{name}' that are not finite"
    ids, horizons = table["id"], table["horizon"].cast(pa.int64())
    if pc.count_distinct(ids).as_py() != len(ids):
        return "several tasks with the same id"
    if pc.max(pc.utf8_length(ids)).as_py() > _LONGEST_NAME:
        return f"an id of more than {_LONGEST_NAME} characters"
    if not pc.all(pc.utf8_is_printable(ids)).as_py() or pc.min(pc.utf8_length(ids)).as_py() < 1:
        return "an id that cannot be printed"
    if pc.min(horizons).as_py() < 1:
        return f"a horizon of {pc.min(horizons)}, not 1 or more"
    lengths = pc.list_value_length(table["demo_actions"]).cast(pa.int64())
    if not pc.all(pc.equal(lengths, pc.multiply(horizons, environment.action_dim))).as_py():
        return (
            "demonstrations that are not as long as their horizon: "
            f"{environment.action_dim} numbers in 'demo_actions' to an environment step"
        )
    return None
