"""Keeps a run folder: settings, finished trials, and a lock. Survives kill -9 at any moment.

    run.json          the settings that every trial in the folder shares
    parts/*.parquet   the trials that finished together, written as they finish
    trials.parquet    all earlier trials; parts are moved here now and then, and at the end

A part is deleted only after the trials file that holds its rows is in place. Dying in
between leaves a trial in both, which reading and resuming see as one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from grasp_bench.core.errors import UserError
from grasp_bench.core.files import TEMPORARY_SUFFIX, write_atomically
from grasp_bench.core.json_files import read_json
from grasp_bench.core.types import Row
from grasp_bench.run.schema import identifying_columns
from grasp_bench.run.store import (
    PARTS_FOLDER,
    TRIALS_FILE,
    read_folder,
    read_table,
    to_frame,
    write_frame,
    write_rows,
)

MANIFEST_FILE = "run.json"
LOCK_FILE = ".lock"
PARTS_PER_COMPACTION = 200


class RunFolder:
    """The folder of one run, held by one process; `open_run_folder` makes one.

    The stored trials are read once, when the folder is opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parts = path / PARTS_FOLDER
        self._trials = path / TRIALS_FILE
        self._tables = read_folder(path)
        self._frame: pd.DataFrame | None = None
        self._uncompacted = 0

    def trials(self) -> pd.DataFrame | None:
        """Returns all trials in the folder, None if there are none."""
        if self._frame is None and self._tables:
            self._frame = to_frame(self._tables)
        return self._frame

    def finished(self) -> set[str]:
        """Returns the keys of trials that need no more work; those that raised do."""
        trials = self.trials()
        return set() if trials is None else set(trials["trial_key"][trials["status"] == "ok"])

    def add(self, rows: list[Row]) -> None:
        """Stores the rows of trials that finished together; on disk when this returns."""
        name = hashlib.sha256(rows[0]["trial_key"].encode()).hexdigest()[:20]
        self._tables.append(write_rows(self._parts / f"{name}.parquet", rows))
        self._frame = None
        self._uncompacted += 1
        if self._uncompacted >= PARTS_PER_COMPACTION:
            self.compact()

    def compact(self) -> None:
        """Moves all parts into the trials file."""
        parts = sorted(self._parts.glob("*.parquet"))
        if parts:
            sources = [self._trials] if self._trials.exists() else []
            write_frame(self._trials, to_frame(read_table(path) for path in [*parts, *sources]))
            for part in parts:
                part.unlink()
        self._uncompacted = 0


@contextmanager
def open_run_folder(path: Path, settings: Mapping[str, Any]) -> Iterator[RunFolder]:
    """Creates the folder or goes on with it, alone.

    Args:
        path: of the folder.
        settings: that all its trials share, by column of the results.

    Raises:
        UserError: the folder cannot be written, is in use, or was begun with other settings.
    """
    try:
        (path / PARTS_FOLDER).mkdir(parents=True, exist_ok=True)
        # The system releases it when the process ends, however that happens.
        lock = FileLock(path / LOCK_FILE, timeout=0)
        lock.acquire()
    except OSError as error:
        if isinstance(error, Timeout):
            raise UserError(
                f"another process is writing to '{path}': wait for it, or pick another --out"
            ) from error
        raise UserError(f"cannot write to the run folder '{path}': {error.strerror}") from error
    try:
        _agree(path, settings)
        # Only what a killed run of ours left: the folder may hold other things too.
        for own in (MANIFEST_FILE, TRIALS_FILE, f"{PARTS_FOLDER}/*.parquet"):
            for leftover in path.glob(f"{own}.*{TEMPORARY_SUFFIX}"):
                leftover.unlink()
        yield RunFolder(path)  # a damaged file is found before any work is done
    finally:
        lock.release()


def _agree(path: Path, settings: Mapping[str, Any]) -> None:
    """Holds the settings against the folder's, or writes them down in a new one."""
    manifest = path / MANIFEST_FILE
    if not manifest.exists():
        if (path / TRIALS_FILE).exists() or any((path / PARTS_FOLDER).glob("*.parquet")):
            raise UserError(f"'{path}' holds results but no {MANIFEST_FILE}: pick another --out")
        write_atomically(manifest, (json.dumps(dict(settings), indent=2) + "\n").encode())
        return
    try:
        content, _ = read_json(manifest)
        begun_with = {name: content[name] for name in settings}
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"'{manifest}' is damaged ({error}): pick another --out") from error
    differences = [
        f"{name} {begun_with[name]} and {settings[name]}"
        for name in identifying_columns(settings["model_file_sha256"] is None)
        if begun_with[name] != settings[name]
    ]
    if differences:
        raise UserError(
            f"'{path}' was begun with other settings ({', '.join(differences)}): pick another --out"
        )
