"""Checks that a table is one of results: columns, types, nulls, ranges and texts.

What reads results relies on it. What writes them passes it too, so that all rows can be read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from grasp_bench.core.errors import UserError, one_line
from grasp_bench.run.schema import ADDED, NAMES, OUTCOME, Column, find_column

MOST_ROWS = 10_000_000
LONGEST_ERROR = 100_000  # bytes
_PATHS = ("planner_source", "model_source", "tasks")
_LONGEST, _LONGEST_TEXT, _MOST_BYTES = 200, 1000, 10**6
_LONGEST_OF = {
    "error": LONGEST_ERROR,
    "hyperparameters": 100_000,
    "replan_candidates": 100_000,
    **dict.fromkeys(_PATHS, 4096),
}
# Rows of other status hold outcomes; these columns may be null in any row.
_NULLABLE = frozenset(
    ("error", "planner_file_sha256", "hyperparameters_source", "tuning_sha256", "tuning_budget",
     "prior_sha256", "probe_sha256", "success_in_model", "final_plan_success_in_model",
     "time_to_success", "iterations_to_success", "model_evals_forward_to_success",
     "model_evals_backward_to_success", "replan_candidates", "final_plan_success",
     "final_plan_cost_predicted", "final_plan_cost_realised", "demo_cost_predicted",
     "success_plan_actions", "final_plan_actions", "plan_sha256", "planner_seconds",
     "replan_every", "model_file_sha256", "max_iterations", "package_version", "git_commit",
     "python_version", "torch_version", "pymunk_version", "numpy_version", "accelerator",
     "compiler", "reference_seconds", "load")
)  # fmt: skip
_CHOICES = {
    "status": ("ok", "error"),
    "hyperparameters_source": ("tuned", "default"),
    "protocol": ("open-loop", "mpc"),
    "clock": ("wall", "iterations"),
    "stop": ("first-success", "never"),
}
_WITHIN: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("budget", "check_first"), (1e-9, 1e12)),
    "check_ratio": (math.nextafter(1.0, 2.0), 1e6),
    **dict.fromkeys(("horizon", "replan_every", "batch", "cores", "workers"), (1, 10**6)),
    "goal_steps": (1, 2**53),
    "proprio_weight": (0.0, 1e12),
    "threads": (1, 1024),
    "max_iterations": (1, 2**53),
    **dict.fromkeys(
        ("iterations_to_success", "model_evals_forward_to_success", "candidates", "iterations",
         "model_evals_backward_to_success", "checks", "model_evals_forward",
         "model_evals_backward"),
        (0, 2**53),
    ),
    **dict.fromkeys(
        ("time_to_success", "planner_time", "planner_seconds", "encode_seconds", "wall_seconds",
         "reference_seconds", "load"),
        (0.0, 1e12),
    ),
    "started_at": (946_684_800_000, 7_258_118_400_000),  # 2000 to 2200: years of four digits
}  # fmt: skip
_OUTCOME = frozenset(column.name for column in OUTCOME)


class DamagedResultsError(UserError):
    """A file is no sound results file; the message says why."""


def check_columns(source: Path, schema: pa.Schema) -> None:
    """Raises UserError unless a file's columns are those of results, each of its type."""
    names: set[str] = set()
    for field in schema:
        column = find_column(field.name)
        if column is None or field.name in names:
            fault = "is no column of results" if column is None else "is there twice"
            raise _unsound(source, field.name, fault)
        names.add(field.name)
        if not _is_of_type(field.type, column.type):
            fault = f"is of type {_shown(field.type)}, expected {column.type}"
            raise _unsound(source, field.name, fault)
    criteria = sorted(n for n in names if n not in NAMES and n.startswith("success_"))
    for name in (*NAMES, *(f"final_plan_{name}" for name in criteria)):
        if name not in names and name not in ADDED:
            raise _unsound(source, name, "is missing")


def _is_of_type(found: pa.DataType, expected: pa.DataType) -> bool:
    """Tells whether a type is the expected one; texts may come with a dictionary."""
    if pa.types.is_dictionary(found):
        return bool(expected == pa.string() == found.value_type)
    return bool(found == expected)


def check_values(source: Path, table: pa.Table) -> None:
    """Raises UserError unless the values of a table are such as trials leave.

    Args:
        source: names the table.
        table: of columns that `check_columns` accepts, or of some of them with `status`.
    """
    for name in ("status", *table.schema.names):
        column = find_column(name)
        assert column is not None
        for fault in _faults(column, table[name], table["status"]):
            raise _unsound(source, name, fault)
    if {"success", "time_to_success"} <= set(table.schema.names):
        solved = pc.fill_null(table["success"], False)
        if pc.any(pc.and_(solved, pc.is_null(table["time_to_success"]))).as_py():
            raise _unsound(source, "time_to_success", "is null where success is true")


def _faults(column: Column, values: pa.ChunkedArray, status: pa.ChunkedArray) -> Iterator[str]:
    """Yields what is wrong with a column, the worst first."""
    name = column.name
    try:
        values.validate(full=True)
        texts = _texts(values) if column.type == pa.string() else None
        if texts is not None:
            texts.validate(full=True)
    except pa.ArrowInvalid as error:
        yield f"is damaged: {_shown(error)}"
        return
    environments_own = name not in NAMES
    if not (name in _NULLABLE or (environments_own and name.startswith("final_plan_"))):
        null = pc.is_null(values)
        if name in _OUTCOME or environments_own:
            null = pc.and_(null, pc.equal(_decoded(status), "ok"))
        if count := pc.sum(null).as_py():
            yield f"is null in {count} rows"
    if texts is not None:
        yield from _faults_of_texts(name, texts)
    elif column.type == pa.binary():
        if (length := pc.max(pc.binary_length(values)).as_py() or 0) > _MOST_BYTES:
            yield f"holds {length} bytes, expected {_MOST_BYTES} at most"
    elif name in _WITHIN:
        low, high = _WITHIN[name]
        numbers = values.cast(pa.int64()) if name == "started_at" else values
        within = pc.and_(pc.greater_equal(numbers, low), pc.less_equal(numbers, high))
        if not pc.all(within, min_count=0).as_py():
            bad = numbers.filter(pc.invert(within))[0].as_py()
            yield f"holds {bad}, expected {low:g} to {high:g}"


def _faults_of_texts(name: str, texts: pa.ChunkedArray) -> Iterator[str]:
    longest = _LONGEST_OF.get(name, _LONGEST_TEXT)
    if (length := pc.max(pc.binary_length(texts)).as_py() or 0) > longest:
        yield f"holds a text of {length} bytes, expected {longest} at most"
        return
    if name in _PATHS and pc.any(pc.match_substring(texts, "\0")).as_py():
        yield "holds a null character"
    if name in _CHOICES:
        allowed = pc.is_in(texts, pa.array(_CHOICES[name]), skip_nulls=True)
        if others := texts.filter(pc.invert(allowed)).drop_null().to_pylist():
            yield f"holds '{_shown(others[0])}', expected {' or '.join(_CHOICES[name])}"
    if name == "replan_candidates":
        counts = pc.match_substring_regex(texts, r"^\d{1,15}( \d{1,15})*$")
        if not pc.all(counts, min_count=0).as_py():
            yield "holds a text that is not whole numbers"
    if name == "hyperparameters":
        for text in texts.drop_null().to_pylist():
            if not _is_json_object(text):
                yield f"holds no JSON object: {_shown(text)}"


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns the different texts of a column, without decoding a dictionary."""
    if not pa.types.is_dictionary(values.type):
        return pa.chunked_array([pc.unique(values)])
    return pa.chunked_array([chunk.dictionary for chunk in values.chunks], pa.string())


def _decoded(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(pa.string()) if pa.types.is_dictionary(values.type) else values


def _shown(found: object) -> str:
    return one_line(str(found), _LONGEST)


def _unsound(source: Path, name: str, fault: str) -> DamagedResultsError:
    return DamagedResultsError(
        f"'{source}' is no sound results file: column '{_shown(name)}' {fault}"
    )
