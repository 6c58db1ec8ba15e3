"""Reading and writing results: parquet tables of trials that carry the protocol's version."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from grasp_bench import PROTOCOL_VERSION
from grasp_bench.columns import COLUMNS, SCHEMA, SCHEMA_VERSION, Row
from grasp_bench.errors import UserError
from grasp_bench.settings import SETTINGS_COLUMNS

TRIALS_FILE = "trials.parquet"
PARTS_FOLDER = "parts"
TEMPORARY_SUFFIX = ".tmp"

LABEL_COLUMNS = ("planner_label", "horizon", "planner_config_sha256", "settings_sha256")

_PROTOCOL_KEY = b"grasp_bench_protocol_version"
_SCHEMA_KEY = b"grasp_bench_schema_version"
_ORDER = ("horizon", "task_id", "trial_key")
_REPEATED_TEXTS = [
    column.name
    for column in COLUMNS
    if column.type == pa.string() and column.name not in (*_ORDER, "error", "plan_sha256")
]
_PANDAS_TYPES = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.string(): pd.StringDtype(),
}


def read_results(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The trials of a results file or of a run folder, one row each, in a fixed order.

    A folder may be read while a sweep writes it.

    Args:
        path: of the file or folder.
        columns: these only, and texts that repeat as categories, which is what large results
            take to be read in little time and memory; by default all.

    Raises:
        UserError: nothing there, not a results file, or one of another protocol version.
    """
    if not path.exists():
        raise UserError(f"there is no results file or run folder '{path}'")
    tables = _read_folder(path, columns) if path.is_dir() else [read_table(path, columns)]
    if not tables:
        raise UserError(
            f"'{path}' holds no results: expected a {TRIALS_FILE}, as `grasp-bench sweep` leaves"
        )
    return to_frame(tables)


def _read_folder(folder: Path, columns: Sequence[str] | None) -> list[pa.Table]:
    # Parts first: one that disappears meanwhile was moved into the trials file.
    tables = []
    for part in sorted((folder / PARTS_FOLDER).glob("*.parquet")):
        try:
            tables.append(read_table(part, columns))
        except FileNotFoundError:
            continue
    trials = folder / TRIALS_FILE
    return [*tables, read_table(trials, columns)] if trials.exists() else tables


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of one parquet file, checked to be results of this protocol version.

    Columns that are younger than the file are null, or say what was the only way then. For
    `columns` see `read_results`.
    """
    try:
        # Memory first: a file that is replaced while it is read must not be half of each.
        content = pa.BufferReader(path.read_bytes())
        present = pq.read_schema(content).names
        table = pq.read_table(
            content,
            columns=columns and [name for name in columns if name in present],
            read_dictionary=columns and _REPEATED_TEXTS,
            page_checksum_verification=True,
        )
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"'{path}' is not a complete parquet file: {reason}") from error
    metadata = table.schema.metadata or {}
    protocol, schema = metadata.get(_PROTOCOL_KEY), int(metadata.get(_SCHEMA_KEY, 1))
    if schema > SCHEMA_VERSION:
        raise UserError(
            f"'{path}' has schema version {schema}, this grasp-bench reads up to "
            f"{SCHEMA_VERSION}: read it with the version that wrote it, or a later one"
        )
    younger = {column.name: column for column in COLUMNS if column.since > schema}
    expected = set(SCHEMA.names) - younger.keys()
    if protocol is None or not expected <= set(present):
        raise UserError(f"'{path}' is parquet, but not a results file of grasp-bench")
    if protocol.decode() != PROTOCOL_VERSION:
        raise UserError(
            f"'{path}' follows protocol version {protocol.decode()}, this grasp-bench version "
            f"{PROTOCOL_VERSION}: their numbers do not compare, so run it again"
        )
    wanted = columns or SCHEMA.names
    for name in wanted:
        if name in younger:
            field = SCHEMA.field(name)
            values = pa.repeat(pa.scalar(younger[name].before, field.type), len(table))
            if columns and name in _REPEATED_TEXTS:
                values, field = values.dictionary_encode(), name
            table = table.append_column(field, values)
    return table.select(wanted)


def schema_version(path: Path) -> int:
    """The schema version that a results file or run folder, readable by us, was written with."""
    files = (
        [path] if path.is_file() else [path / TRIALS_FILE, *path.glob(f"{PARTS_FOLDER}/*.parquet")]
    )
    metadata = [pq.read_schema(file).metadata for file in files if file.exists()]
    return max(int(entries.get(_SCHEMA_KEY, 1)) for entries in metadata)


def to_frame(tables: Iterable[pa.Table]) -> pd.DataFrame:
    """One row per trial, a finished one before an error, by horizon, task and planner."""
    table = pa.concat_tables(tables)
    order = pc.sort_indices(table, [(name, "ascending") for name in _ORDER])
    return one_row_per_trial(table.take(order).to_pandas(types_mapper=_PANDAS_TYPES.get))


def one_row_per_trial(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop repeated trials, errors first; what is left stays in its order."""
    if not frame["trial_key"].duplicated().any():
        return frame
    errors_last = frame.sort_values("status", key=lambda status: status != "ok", kind="stable")
    return errors_last.drop_duplicates("trial_key").sort_index().reset_index(drop=True)


def merge_results(paths: Sequence[Path]) -> pd.DataFrame:
    """The trials of several results of the same settings as one, each once.

    Raises:
        UserError: they differ in their settings, or hold two finished trials of one key that
            differ in anything.
    """
    frames = [read_results(path) for path in paths]
    trials = pd.concat(frames, keys=range(len(paths)), names=["source", None])
    check_same_settings(trials, "keep them in files of their own")
    finished = trials[trials["status"] == "ok"].drop_duplicates()
    repeated = finished[finished["trial_key"].duplicated(keep=False)]
    if not repeated.empty:
        key = repeated["trial_key"].iloc[0]
        rivals = repeated[repeated["trial_key"] == key]
        one, other = (paths[source] for source in rivals.index.get_level_values("source")[:2])
        different = [name for name in rivals if rivals[name].nunique(dropna=False) > 1]
        raise UserError(
            f"'{one}' and '{other}' both hold trial {key}, with different {', '.join(different)} "
            f"({repeated['trial_key'].nunique()} such trials): merge only one of them"
        )
    return to_frame([_as_table(trials)])


def check_same_settings(trials: pd.DataFrame, advice: str) -> None:
    """Raises UserError, with advice, where trials were not run under the same settings."""
    for column in SETTINGS_COLUMNS:
        values = sorted(map(str, trials[column].unique()))
        if column != "model" and len(values) > 1:
            raise UserError(
                f"these results differ in {column} ({', '.join(values)}), so their numbers do "
                f"not compare: {advice}"
            )


def check_labels(trials: pd.DataFrame, advice: str) -> None:
    """Raises UserError, with advice, where a label stands for different settings.

    Tuned settings may be others at every horizon, if they come from one file.
    """
    for label, own in trials[list(LABEL_COLUMNS)].drop_duplicates().groupby("planner_label"):
        files = own["settings_sha256"].astype(object).fillna("").unique()
        one_meaning = own["planner_config_sha256"].nunique() == 1
        one_per_horizon = files[0] != "" and not own["horizon"].duplicated().any()
        if len(files) > 1 or not (one_meaning or one_per_horizon):
            raise UserError(
                f"'{label}' stands for different hyperparameters in these results, as its "
                f"defaults or tuned settings have changed between them: {advice}"
            )


def write_frame(path: Path, trials: pd.DataFrame) -> None:
    """Write trials as `read_results` gives them: the whole file or nothing."""
    write_table(path, _as_table(trials))


def _as_table(trials: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(trials, SCHEMA, preserve_index=False)


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write rows as a results file: the whole file or nothing.

    Raises:
        ValueError: a row's keys are not the columns.
    """
    for row in rows:
        if row.keys() != set(SCHEMA.names):
            raise ValueError(f"not the columns: {sorted(row.keys() ^ set(SCHEMA.names))}")
    write_table(path, pa.Table.from_pylist(rows, schema=SCHEMA))


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table of the schema: the whole file or nothing, whenever the process dies."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    write_atomically(path, sink.getvalue().to_pybytes())


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content so that at every moment it is the old or the new one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
