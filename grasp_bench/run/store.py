"""Reads and writes results: parquet tables of trials that carry the protocol's version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from grasp_bench.core.errors import UserError, one_line
from grasp_bench.core.files import write_atomically
from grasp_bench.core.registry import did_you_mean
from grasp_bench.core.types import Row
from grasp_bench.core.version import PROTOCOL_VERSION
from grasp_bench.run.presence import read_sweeps
from grasp_bench.run.schema import (
    ADDED,
    NAMES,
    PROTOCOL_KEY,
    SCHEMA_KEY,
    SCHEMA_VERSION,
    find_column,
    results_schema,
)
from grasp_bench.run.soundness import (
    LONGEST_ERROR,
    MOST_ROWS,
    DamagedResultsError,
    check_columns,
    check_values,
)

TRIALS_FILE = "trials.parquet"
PARTS_FOLDER = "parts"

_ORDER = ("horizon", "task_id", "trial_key")
# What makes one trial one row.
_KEYS = ("status", *_ORDER)
_TEXTS = [field.name for field in results_schema(NAMES) if field.type == pa.string()]
# As categories they take less memory; the others hardly repeat, or are sorted by.
_REPEATED_TEXTS = frozenset(_TEXTS) - {*_ORDER, "plan_sha256"}
_PANDAS_TYPES = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.string(): pd.StringDtype(),
}


def read_results(path: Path | str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Reads the trials of a results file or of a run folder, one row each, in a fixed order.

    A folder may be read while a sweep writes it.

    Args:
        path: of the file or folder.
        columns: these only, and texts that repeat as categories, which is what large results
            take to be read in little time and memory; by default all.

    Raises:
        UserError: nothing there, not a sound results file, one of another protocol version, one
            without such a column, or no trial in it.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"there is no results file or run folder '{path}'")
    wanted = None if columns is None else list(dict.fromkeys([*columns, *_KEYS]))
    tables = read_folder(path, wanted) if path.is_dir() else [read_table(path, wanted)]
    if not tables:
        if at_work := [sweep for sweep in read_sweeps(path) if sweep.at_work]:
            raise UserError(
                f"no trial has finished in '{path}' yet, and a run is under way: "
                f"{at_work[-1].described()}"
            )
        raise UserError(
            f"'{path}' holds no results: expected a {TRIALS_FILE}, as `grasp-bench sweep` leaves"
        )
    trials = to_frame(tables, f"'{path}'")
    if trials.empty:
        raise UserError(f"'{path}' holds no trials")
    return trials if columns is None else trials[list(dict.fromkeys(columns))]


def read_folder(folder: Path, columns: Sequence[str] | None = None) -> list[pa.Table]:
    """Reads the tables of a run folder, which another process may be writing."""
    # Parts first: one that disappears meanwhile was moved into another or the trials file.
    tables: dict[Path, pa.Table] = {}
    gone = True
    while gone:
        gone = False
        for part in sorted((folder / PARTS_FOLDER).glob("*.parquet")):
            if part not in tables:
                try:
                    tables[part] = read_table(part, columns)
                except FileNotFoundError:
                    gone = True
    trials = folder / TRIALS_FILE
    return [*tables.values(), *([read_table(trials, columns)] if trials.exists() else [])]


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads the rows of one parquet file, checked to be sound results of this version.

    For `columns`, with `status` among them, see `read_results`.

    Raises:
        FileNotFoundError: no such file.
        UserError: not a sound results file, one of another version, or no such column.
    """
    # Memory first: a file that is replaced while it is read must not be half of each.
    content = pa.BufferReader(path.read_bytes())
    try:
        metadata = pq.read_metadata(content)
        schema = metadata.schema.to_arrow_schema()
        _check_version(path, schema, metadata.num_rows)
        if unknown := set(columns or ()) - set(schema.names):
            name = min(unknown)
            raise UserError(f"'{path}' has no column '{name}': {did_you_mean(name, schema.names)}")
        # With a dictionary: a text is checked before it is copied as often as it occurs.
        table = pq.read_table(
            content, columns=columns, read_dictionary=_TEXTS, page_checksum_verification=True
        )
    except MemoryError as error:  # of this machine, or of a file that asks for all of it
        raise UserError(f"'{path}' takes more memory than there is: {error}") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = one_line(str(error).partition("\n")[0])
        raise DamagedResultsError(f"'{path}' is not a complete parquet file: {reason}") from error
    check_values(path, table)
    for place, field in enumerate(table.schema):
        repeats = columns is not None and field.name in _REPEATED_TEXTS
        if pa.types.is_dictionary(field.type) and not repeats:
            plain = pa.field(field.name, pa.string())
            table = table.set_column(place, plain, table[field.name].cast(pa.string()))
    if columns is None and (added := ADDED - set(table.schema.names)):
        for name in sorted(added):
            column = find_column(name)
            assert column is not None
            table = table.append_column(name, pa.nulls(len(table), column.type))
        table = table.select(results_schema(table.schema.names).names)
    return table.replace_schema_metadata()  # pandas would follow what it says


def _check_version(path: Path, schema: pa.Schema, rows: int) -> None:
    metadata = schema.metadata or {}
    protocol, version = metadata.get(PROTOCOL_KEY), metadata.get(SCHEMA_KEY, b"1")
    if protocol is None:
        raise UserError(f"'{path}' is parquet, but not a results file of grasp-bench")
    if version != str(SCHEMA_VERSION).encode():
        raise UserError(
            f"'{path}' has schema version {_shown(version)}, this grasp-bench reads version "
            f"{SCHEMA_VERSION}: read it with the version that wrote it"
        )
    check_columns(path, schema)
    if protocol != PROTOCOL_VERSION.encode():
        raise UserError(
            f"'{path}' follows protocol version {_shown(protocol)}, this grasp-bench version "
            f"{PROTOCOL_VERSION}: their numbers do not compare, so run it again"
        )
    if rows > MOST_ROWS:
        raise UserError(f"'{path}' says that it holds {rows} rows: expected {MOST_ROWS} at most")


def _shown(version: bytes) -> str:
    return one_line(version.decode(errors="backslashreplace"), 20)


def to_frame(tables: Iterable[pa.Table], source: str = "these results") -> pd.DataFrame:
    """Makes one row per trial, a finished one before an error, by horizon, task and planner.

    For `source` and errors see `one_row_per_trial`.
    """
    table = pa.concat_tables(tables, promote_options="default")
    order = pc.sort_indices(table, [(name, "ascending") for name in _ORDER])
    trials = table.take(order).to_pandas(types_mapper=_PANDAS_TYPES.get)
    return one_row_per_trial(trials, source)


def one_row_per_trial(
    trials: pd.DataFrame, source: str = "these results", paths: Sequence[Path] = ()
) -> pd.DataFrame:
    """Drops repeated trials, errors first; what is left stays in its order.

    Args:
        trials: of one source, or of several with the number of theirs first in the index.
        source: names the one in an error.
        paths: of the several.

    Raises:
        UserError: two finished trials of one key differ in anything.
    """
    repeated = trials[trials["trial_key"].duplicated(keep=False)]
    if repeated.empty:
        return trials.reset_index(drop=True)
    finished = repeated[repeated["status"] == "ok"].drop_duplicates()
    rivals = finished[finished["trial_key"].duplicated(keep=False)]
    if not rivals.empty:
        key = rivals["trial_key"].iloc[0]
        own = rivals[rivals["trial_key"] == key]
        named = [f"'{paths[number]}'" for number, _ in own.index] if paths else [source]
        different = [name for name in own if own[name].nunique(dropna=False) > 1]
        raise UserError(
            f"{' and '.join(dict.fromkeys(named))} hold trial {one_line(key, 200)} more than "
            f"once, with different {', '.join(different)} "
            f"({rivals['trial_key'].nunique()} such trials): take only one of them"
        )
    errors_last = trials.sort_values("status", key=lambda status: status != "ok", kind="stable")
    return errors_last.drop_duplicates("trial_key").sort_index().reset_index(drop=True)


def write_frame(path: Path, trials: pd.DataFrame) -> None:
    """Writes trials as `read_results` gives them: the whole file or nothing."""
    write_table(path, as_table(trials))


def as_table(trials: pd.DataFrame) -> pa.Table:
    """Makes a table of trials as `read_results` gives them."""
    return pa.Table.from_pandas(trials, results_schema(trials.columns), preserve_index=False)


def write_rows(path: Path, rows: list[Row]) -> pa.Table:
    """Writes rows as a results file, the whole file or nothing; returns their table.

    Raises:
        ValueError: a row's keys are not the columns.
        UserError: a value is not one that can be read again.
    """
    table = rows_table(rows)
    write_table(path, table)
    return table


def rows_table(rows: list[Row]) -> pa.Table:
    """Makes a table of rows of one environment."""
    schema = results_schema(rows[0])
    for row in rows:
        if row.keys() != set(schema.names):
            raise ValueError(f"not the columns: {sorted(row.keys() ^ set(schema.names))}")
    return pa.Table.from_pylist([_storable(row) for row in rows], schema=schema)


def joined_table(tables: Iterable[pa.Table]) -> pa.Table:
    """Joins tables of whole rows as they are, repeated trials with them."""
    joined = pa.concat_tables(tables, promote_options="default").combine_chunks()
    schema = results_schema(joined.schema.names)
    return joined.select(schema.names).cast(schema)


def _storable(row: Row) -> Row:
    """Escapes lone surrogates, which no file holds, and leaves out the middle of a long error."""
    texts = {
        name: value.encode("utf-8", "backslashreplace").decode()
        for name, value in row.items()
        if isinstance(value, str)
    }
    if len(error := texts.get("error", "")) > LONGEST_ERROR // 4:  # bytes, of any character
        part = LONGEST_ERROR // 8 - 10
        texts["error"] = f"{error[:part]}\n...\n{error[-part:]}"
    return row | texts


def write_table(path: Path, table: pa.Table) -> None:
    """Writes a table of the schema: the whole file or nothing, whenever the process dies."""
    check_values(path, table)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    write_atomically(path, sink.getvalue().to_pybytes())
