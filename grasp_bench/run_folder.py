"""A run folder: settings, finished trials, and a lock. Survives kill -9 at any moment.

    run.json          the settings that every trial in the folder shares
    parts/*.parquet   the trials that finished together, written as they finish
    trials.parquet    all earlier trials; parts are moved here now and then, and at the end

A part is deleted only after the trials file that holds its rows is in place. Dying in
between leaves a trial in both, which reading and resuming see as one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

import pandas as pd

from grasp_bench.columns import Row
from grasp_bench.errors import UserError
from grasp_bench.results import (
    PARTS_FOLDER,
    TEMPORARY_SUFFIX,
    TRIALS_FILE,
    read_results,
    read_table,
    to_frame,
    write_atomically,
    write_frame,
    write_rows,
)
from grasp_bench.settings import RunSettings

MANIFEST_FILE = "run.json"
LOCK_FILE = ".lock"
PARTS_PER_COMPACTION = 200


class RunFolder:
    """The folder of one run, held by one process. Open it with `open_run_folder`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parts = path / PARTS_FOLDER
        self._trials = path / TRIALS_FILE
        self._uncompacted = 0

    def trials(self) -> pd.DataFrame | None:
        """All trials in the folder, None if there are none."""
        if self._trials.exists() or any(self._parts.glob("*.parquet")):
            return read_results(self.path)
        return None

    def add(self, rows: list[Row]) -> None:
        """Store the rows of trials that finished together; on disk when this returns."""
        name = hashlib.sha256(rows[0]["trial_key"].encode()).hexdigest()[:20]
        write_rows(self._parts / f"{name}.parquet", rows)
        self._uncompacted += 1
        if self._uncompacted >= PARTS_PER_COMPACTION:
            self.compact()

    def compact(self) -> None:
        """Move all parts into the trials file."""
        parts = sorted(self._parts.glob("*.parquet"))
        if parts:
            sources = [self._trials] if self._trials.exists() else []
            frame = to_frame(read_table(path) for path in [*parts, *sources])
            write_frame(self._trials, frame)
            for part in parts:
                part.unlink()
        self._uncompacted = 0


@contextmanager
def open_run_folder(path: Path, settings: RunSettings) -> Iterator[RunFolder]:
    """Create the folder or go on with it, alone.

    Raises:
        UserError: the folder cannot be written, is in use, or was begun with other settings.
    """
    try:
        (path / PARTS_FOLDER).mkdir(parents=True, exist_ok=True)
        lock = (path / LOCK_FILE).open("w")
    except OSError as error:
        raise UserError(f"cannot write to the run folder '{path}': {error.strerror}") from error
    with lock:
        _acquire(lock, path)
        _agree(path, settings)
        # Only what a killed run of ours left: the folder may hold other things too.
        for own in (MANIFEST_FILE, TRIALS_FILE, f"{PARTS_FOLDER}/*.parquet"):
            for leftover in path.glob(f"{own}.*{TEMPORARY_SUFFIX}"):
                leftover.unlink()
        folder = RunFolder(path)
        folder.trials()  # a damaged file is found before any work is done
        yield folder


def _acquire(lock: IO[str], path: Path) -> None:
    try:
        # The system releases it when the process ends, however that happens.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(
            f"another process is writing to '{path}': wait for it, or pick another --out"
        ) from error


def _agree(path: Path, settings: RunSettings) -> None:
    """Hold the settings against the folder's, or write them down in a new one."""
    manifest = path / MANIFEST_FILE
    if not manifest.exists():
        if (path / TRIALS_FILE).exists() or any((path / PARTS_FOLDER).glob("*.parquet")):
            raise UserError(f"'{path}' holds results but no {MANIFEST_FILE}: pick another --out")
        write_atomically(manifest, (json.dumps(asdict(settings), indent=2) + "\n").encode())
        return
    try:
        begun_with = RunSettings(**json.loads(manifest.read_text()))
    except (ValueError, TypeError) as error:
        raise UserError(f"'{manifest}' is damaged ({error}): pick another --out") from error
    if difference := begun_with.difference(settings):
        raise UserError(
            f"'{path}' was begun with other settings ({difference}): pick another --out"
        )
