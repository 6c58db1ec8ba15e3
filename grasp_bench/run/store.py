"""Reads and writes results: parquet tables of trials that carry the protocol's version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from grasp_bench.core.errors import UserError
from grasp_bench.core.files import write_atomically
from grasp_bench.core.types import Row
from grasp_bench.core.version import PROTOCOL_VERSION
from grasp_bench.run.schema import (
    NAMES,
    PROTOCOL_KEY,
    SCHEMA_KEY,
    SCHEMA_VERSION,
    environment_column,
    identifying_columns,
    results_schema,
)

TRIALS_FILE = "trials.parquet"
PARTS_FOLDER = "parts"

LABEL_COLUMNS = ("planner_label", "horizon", "hyperparameters_sha256", "tuning_sha256")

_ORDER = ("horizon", "task_id", "trial_key")
_REPEATED_TEXTS = [
    field.name
    for field in results_schema(NAMES)
    if field.type == pa.string() and field.name not in (*_ORDER, "error", "plan_sha256")
]
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
        UserError: nothing there, not a results file, or one of another protocol version.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"there is no results file or run folder '{path}'")
    tables = read_folder(path, columns) if path.is_dir() else [read_table(path, columns)]
    if not tables:
        raise UserError(
            f"'{path}' holds no results: expected a {TRIALS_FILE}, as `grasp-bench sweep` leaves"
        )
    return to_frame(tables)


def read_folder(folder: Path, columns: Sequence[str] | None = None) -> list[pa.Table]:
    """Reads the tables of a run folder, which another process may be writing."""
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
    """Reads the rows of one parquet file, checked to be results of this version.

    For `columns` see `read_results`.

    Raises:
        FileNotFoundError: no such file.
        UserError: not a results file, or one of another version.
    """
    try:
        # Memory first: a file that is replaced while it is read must not be half of each.
        content = pa.BufferReader(path.read_bytes())
        schema = pq.read_schema(content)
        _check_version(path, schema)
        table = pq.read_table(
            content,
            columns=columns and [name for name in columns if name in schema.names],
            read_dictionary=columns and _REPEATED_TEXTS,
            page_checksum_verification=True,
        )
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"'{path}' is not a complete parquet file: {reason}") from error
    return table


def _check_version(path: Path, schema: pa.Schema) -> None:
    metadata = schema.metadata or {}
    protocol, version = metadata.get(PROTOCOL_KEY), int(metadata.get(SCHEMA_KEY, 1))
    if protocol is None:
        raise UserError(f"'{path}' is parquet, but not a results file of grasp-bench")
    if version != SCHEMA_VERSION:
        raise UserError(
            f"'{path}' has schema version {version}, this grasp-bench reads version "
            f"{SCHEMA_VERSION}: read it with the version that wrote it"
        )
    if not set(NAMES) <= set(schema.names) or any(
        name not in NAMES and environment_column(name) is None for name in schema.names
    ):
        raise UserError(f"'{path}' is parquet, but not a results file of grasp-bench")
    if protocol.decode() != PROTOCOL_VERSION:
        raise UserError(
            f"'{path}' follows protocol version {protocol.decode()}, this grasp-bench version "
            f"{PROTOCOL_VERSION}: their numbers do not compare, so run it again"
        )


def to_frame(tables: Iterable[pa.Table]) -> pd.DataFrame:
    """Makes one row per trial, a finished one before an error, by horizon, task and planner."""
    table = pa.concat_tables(tables, promote_options="default")
    order = pc.sort_indices(table, [(name, "ascending") for name in _ORDER])
    return one_row_per_trial(table.take(order).to_pandas(types_mapper=_PANDAS_TYPES.get))


def one_row_per_trial(frame: pd.DataFrame) -> pd.DataFrame:
    """Drops repeated trials, errors first; what is left stays in its order."""
    if not frame["trial_key"].duplicated().any():
        return frame
    errors_last = frame.sort_values("status", key=lambda status: status != "ok", kind="stable")
    return errors_last.drop_duplicates("trial_key").sort_index().reset_index(drop=True)


def merge_results(paths: Sequence[Path]) -> pd.DataFrame:
    """Merges the trials of several results of the same settings, each once.

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
    for column in identifying_columns(bool(trials["model_file_sha256"].isna().all())):
        values = sorted(map(str, trials[column].unique()))
        if len(values) > 1:
            raise UserError(
                f"these results differ in {column} ({', '.join(values)}), so their numbers do "
                f"not compare: {advice}"
            )


def check_labels(trials: pd.DataFrame, advice: str) -> None:
    """Raises UserError, with advice, where a label stands for different settings.

    Tuned settings may be others at every horizon, if they come from one file.
    """
    for label, own in trials[list(LABEL_COLUMNS)].drop_duplicates().groupby("planner_label"):
        files = own["tuning_sha256"].astype(object).fillna("").unique()
        one_meaning = own["hyperparameters_sha256"].nunique() == 1
        one_per_horizon = files[0] != "" and not own["horizon"].duplicated().any()
        if len(files) > 1 or not (one_meaning or one_per_horizon):
            raise UserError(
                f"'{label}' stands for different hyperparameters in these results, as its "
                f"defaults or tuned settings have changed between them: {advice}"
            )


def write_frame(path: Path, trials: pd.DataFrame) -> None:
    """Writes trials as `read_results` gives them: the whole file or nothing."""
    write_table(path, _as_table(trials))


def _as_table(trials: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(trials, results_schema(trials.columns), preserve_index=False)


def write_rows(path: Path, rows: list[Row]) -> pa.Table:
    """Writes rows as a results file, the whole file or nothing; returns their table.

    Raises:
        ValueError: a row's keys are not the columns.
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
    return pa.Table.from_pylist(rows, schema=schema)


def write_table(path: Path, table: pa.Table) -> None:
    """Writes a table of the schema: the whole file or nothing, whenever the process dies."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    write_atomically(path, sink.getvalue().to_pybytes())
