"""Keeps a run folder, which several processes may fill. Survives kill -9 at any moment.

    run.json            the settings that every trial in the folder shares
    parts/*.parquet     the trials that finished together, written as they finish
    trials.parquet      all earlier trials; parts are moved here at the end
    sweeps/             who works here, and at what
    set-aside/          parts that were damaged
    .lock               held for moments: whoever writes to the folder holds it

A part is never replaced. It is deleted only after the file that its rows were copied to is in
place. Dying in between leaves a trial in both, which reading and resuming see as one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from filelock import FileLock, Timeout

from grasp_bench.core.errors import UserError
from grasp_bench.core.files import TEMPORARY_SUFFIX, write_atomically
from grasp_bench.core.json_files import read_json
from grasp_bench.core.types import Row
from grasp_bench.run.presence import Others, Presence, forget_ended
from grasp_bench.run.schema import identifying_columns
from grasp_bench.run.soundness import DamagedResultsError
from grasp_bench.run.store import (
    PARTS_FOLDER,
    TRIALS_FILE,
    joined_table,
    read_table,
    to_frame,
    write_frame,
    write_rows,
    write_table,
)

MANIFEST_FILE = "run.json"
LOCK_FILE = ".lock"
SET_ASIDE_FOLDER = "set-aside"
PARTS_PER_MERGE = 200
_LONGEST_WAIT = 600  # seconds for the lock: another process may be moving all parts
_STATUS = ["trial_key", "status"]


class Turn(Enum):
    """Says whose turn it is to run some trials."""

    OURS = "ours"
    THEIRS = "another process has taken them on and is at work"
    NOBODYS = "they have finished"


class RunFolder:
    """The folder of one run, as one of the processes that fill it; `open_run_folder` makes one.

    Attributes:
        path: of the folder.
        presence: what others see of this process.
    """

    def __init__(self, path: Path, lock: FileLock, say: Callable[[str], None]) -> None:
        self.path = path
        self.presence = Presence(path)
        self._lock, self._say = lock, say
        self._parts = path / PARTS_FOLDER
        self._trials = path / TRIALS_FILE
        self._others = Others(path, self.presence.name)
        self._finished: set[str] = set()
        self._failed: set[str] = set()
        self._seen: set[str] = set()
        self._own: dict[str, pa.Table] = {}  # small parts of ours, to be merged without a reading
        self._trials_seen: tuple[int, int] | None = None
        self._frame: pd.DataFrame | None = None
        self._count = 0
        self._notice(whole=True)

    def trials(self) -> pd.DataFrame | None:
        """Returns all trials in the folder, None if there are none."""
        if self._frame is None:
            with self._lock:
                tables = [*self._sound(self._names()).values(), *self._stored()]
            self._frame = to_frame(tables, f"'{self.path}'") if tables else None
        return self._frame

    def finished(self) -> set[str]:
        """Returns the keys of trials that need no more work; those that raised do."""
        return self._finished

    def turn(self, keys: Sequence[str]) -> Turn:
        """Takes trials on, unless they have finished or another process is at one of them."""
        if self._finished.issuperset(keys):
            return Turn.NOBODYS
        with self._lock:
            self._notice()
            if self._finished.issuperset(keys):
                return Turn.NOBODYS
            if self._others.have_taken(keys):
                # What failed there is the next command's: two would wait for each other for ever.
                ended = all(key in self._finished or key in self._failed for key in keys)
                return Turn.NOBODYS if ended else Turn.THEIRS
            self.presence.take(keys)
        return Turn.OURS

    def add(self, rows: Sequence[Row]) -> list[Row]:
        """Stores the rows of trials that finished together; on disk when this returns.

        Returns those that were stored: the ones of trials that had not finished before.
        """
        with self._lock:
            self._notice()
            missing = [row for row in rows if row["trial_key"] not in self._finished]
            if missing:
                name = self._next_name(tier=0)
                self._own[name] = write_rows(self._parts / name, missing)
                self._seen.add(name)
                self._note((row["trial_key"], row["status"]) for row in missing)
                self._frame = None
                self._merge()
        return missing

    def compact(self) -> None:
        """Moves all parts into the trials file."""
        with self._lock:
            tables = self._sound(self._names())
            if tables:
                write_frame(self._trials, to_frame([*tables.values(), *self._stored()]))
                self._trials_seen = _version(self._trials)
                self._remove(tables)

    def _merge(self) -> None:
        """Merges small parts into larger ones, so that no file is ever rewritten often."""
        tier = 0
        while len(parts := self._names(f".{tier}.parquet")) >= PARTS_PER_MERGE:
            tier += 1
            tables = self._sound(parts)
            merged = self._next_name(tier)
            write_table(self._parts / merged, joined_table(tables.values()))
            self._seen.add(merged)
            self._remove(tables)

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            (self._parts / name).unlink()
            self._own.pop(name, None)

    def _next_name(self, tier: int) -> str:
        self._count += 1
        return f"{self.presence.name}-{self._count:06d}.{tier}.parquet"

    def _names(self, suffix: str = ".parquet") -> list[str]:
        return [name for name in os.listdir(self._parts) if name.endswith(suffix)]

    def _stored(self, columns: Sequence[str] | None = None) -> list[pa.Table]:
        return [read_table(self._trials, columns)] if self._trials.exists() else []

    def _notice(self, whole: bool = False) -> None:
        """Reads which trials finished in files that are new here, all of them or the keys."""
        names = self._names()
        new = [name for name in names if name not in self._seen]
        self._seen.intersection_update(names)
        tables = list(self._sound(new, None if whole else _STATUS).values())
        version = _version(self._trials)
        if version != self._trials_seen:
            tables += self._stored(_STATUS)
            self._trials_seen = version
        for table in tables:
            self._frame = None
            self._note(zip(*(table[name].to_pylist() for name in _STATUS), strict=True))

    def _note(self, ended: Iterable[tuple[str, str]]) -> None:
        for key, status in ended:
            (self._finished if status == "ok" else self._failed).add(key)

    def _sound(
        self, names: Sequence[str], columns: Sequence[str] | None = None
    ) -> dict[str, pa.Table]:
        """Reads parts, and sets those aside that are damaged: their trials run again."""
        tables = {}
        for name in names:
            try:
                own = self._own.get(name)
                tables[name] = read_table(self._parts / name, columns) if own is None else own
                self._seen.add(name)
            except DamagedResultsError as error:
                aside = self.path / SET_ASIDE_FOLDER
                aside.mkdir(exist_ok=True)
                (self._parts / name).replace(aside / name)
                self._say(f"{error}. It lies in '{aside}' now, and its trials run again.")
        return tables


def _version(path: Path) -> tuple[int, int] | None:
    """Tells one content of a file from another, as every write gives it another inode."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


@contextmanager
def open_run_folder(
    path: Path, settings: Mapping[str, Any], say: Callable[[str], None] = print
) -> Iterator[RunFolder]:
    """Creates the folder or goes on with it, beside others that do.

    Args:
        path: of the folder.
        settings: that all its trials share, by column of the results.
        say: told what was found to be damaged.

    Raises:
        UserError: the folder cannot be written, or was begun with other settings.
    """
    lock = FileLock(path / LOCK_FILE, timeout=_LONGEST_WAIT)
    try:
        (path / PARTS_FOLDER).mkdir(parents=True, exist_ok=True)
        with lock:  # the system releases it when a process ends, however that happens
            _agree(path, settings)
            # Only what a killed run of ours left: the folder may hold other things too.
            for own in (MANIFEST_FILE, TRIALS_FILE, f"{PARTS_FOLDER}/*.parquet"):
                for leftover in path.glob(f"{own}.*{TEMPORARY_SUFFIX}"):
                    leftover.unlink()
            forget_ended(path)
            folder = RunFolder(path, lock, say)  # damage is found before any work is done
    except Timeout as error:
        raise UserError(f"another process has held '{path / LOCK_FILE}' for very long") from error
    except OSError as error:
        raise UserError(f"cannot write to the run folder '{path}': {error.strerror}") from error
    try:
        yield folder
    finally:
        folder.presence.close()


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
