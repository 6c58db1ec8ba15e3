"""Notes in a run folder which processes work there, and which trials they have taken on.

    sweeps/NAME.lock    held by a process while it works; the system releases it when it ends
    sweeps/NAME.jsonl   what it was asked for, then a line for every batch it has taken on

A process that was killed leaves both. Its lock is free then, so that nobody has to trust a clock.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from grasp_bench.core.errors import UserError
from grasp_bench.core.json_files import parse_json, typed

SWEEPS_FOLDER = "sweeps"
_SUFFIX = ".jsonl"
_MOST_SHOWN = 4  # trials


@dataclass(frozen=True)
class Asked:
    """What a process that works in a folder was asked for.

    Attributes:
        trials: in all.
        executor: where they run.
        workers: beside each other.
        host, process: of the one that drives them.
        begun: when it began, ISO 8601.
    """

    trials: int
    executor: str
    workers: int
    host: str
    process: int
    begun: str


class Presence:
    """This process's note in a run folder; it is taken for gone when this one is closed."""

    def __init__(self, folder: Path) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        where = folder / SWEEPS_FOLDER
        where.mkdir(exist_ok=True)
        self._lock = FileLock(where / f"{self.name}.lock", timeout=10)
        self._lock.acquire()
        self._file = (where / f"{self.name}{_SUFFIX}").open("ab", buffering=0)
        self._announced = 0

    def announce(self, trials: int, executor: str, workers: int) -> None:
        """Notes down what this process was asked for."""
        begun = datetime.now(UTC).isoformat(timespec="seconds")
        asked = Asked(trials, executor, workers, socket.gethostname(), os.getpid(), begun)
        self._append(asdict(asked))
        self._announced = self._file.tell()

    def take(self, keys: Sequence[str]) -> None:
        """Notes down trials that this process takes on."""
        self._append(list(keys))

    def _append(self, content: object) -> None:
        # The same file all along: a network file system shows others what is appended.
        self._file.write((json.dumps(content) + "\n").encode())

    def close(self) -> None:
        """Lets others take what this process has not finished; only what was asked is kept."""
        with suppress(OSError):  # the disk may have become one that can only be read
            self._file.truncate(self._announced)
        self._file.close()
        self._lock.release()


class Others:
    """What the other processes in a run folder have taken on, read on as they go on."""

    def __init__(self, folder: Path, own: str) -> None:
        self._folder, self._own = folder, own
        self._read: dict[Path, int] = {}
        self._taken: dict[Path, set[str]] = {}

    def have_taken(self, keys: Sequence[str]) -> bool:
        """Tells whether a process that is at work has taken one of the trials on."""
        for note in _notes(self._folder):
            if note.stem != self._own:
                self._read_on(note)
                if not self._taken[note].isdisjoint(keys) and is_at_work(note):
                    return True
        return False

    def _read_on(self, note: Path) -> None:
        taken, begin = self._taken.setdefault(note, set()), self._read.get(note, 0)
        try:
            with note.open("rb") as file:
                file.seek(begin)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        self._read[note] = begin + len(whole + newline)
        for line in whole.split(b"\n"):
            taken.update(_parsed(line))


@dataclass(frozen=True)
class Sweeping:
    """A process that works in a folder, or has.

    Attributes:
        asked: of it.
        at_work: it has not ended.
        taken: trials that it has taken on so far.
    """

    asked: Asked
    at_work: bool
    taken: frozenset[str]

    def described(self, stored: Set[str] = frozenset()) -> str:
        """Says who it is, and at which trials: those it has taken on that are not stored."""
        asked, at_hand = self.asked, sorted(self.taken - stored)
        who = (
            f"process {asked.process} on {asked.host}, begun {asked.begun}, with {asked.workers} "
            f"worker(s) of the executor {asked.executor}"
        )
        if not self.at_work:
            return f"ended: {who}"
        shown = ", ".join(at_hand[:_MOST_SHOWN]) + (", ..." if at_hand[_MOST_SHOWN:] else "")
        return f"at work: {who}, at {len(at_hand)} trial(s){': ' if at_hand else ''}{shown}"


def read_sweeps(folder: Path) -> list[Sweeping]:
    """Reads which processes work in a folder or have, the last to begin at the end.

    Raises:
        UserError: a note cannot be read.
    """
    return sorted(_sweeps(folder), key=lambda sweep: sweep.asked.begun)


def _sweeps(folder: Path) -> Iterator[Sweeping]:
    for note in _notes(folder):
        try:
            head, *lines = note.read_bytes().split(b"\n")
            if not lines:
                continue  # it has just begun
            asked = typed(Asked, parse_json(head), note.name)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise UserError(f"'{note}' cannot be read: {error}") from error
        taken = {key for line in lines[:-1] for key in _parsed(line)}
        yield Sweeping(asked, is_at_work(note), frozenset(taken))


def forget_ended(folder: Path) -> None:
    """Removes what processes left that have ended; only for who holds the folder's lock."""
    for note in _notes(folder):
        if not is_at_work(note):
            note.unlink(missing_ok=True)
            note.with_suffix(".lock").unlink(missing_ok=True)


def is_at_work(note: Path) -> bool:
    """Tells whether the process that wrote a note has not ended; if that is not known, yes."""
    path = note.with_suffix(".lock")
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except (OSError, NotImplementedError):  # held, or a folder that may only be read
        return True


def _notes(folder: Path) -> list[Path]:
    return sorted((folder / SWEEPS_FOLDER).glob(f"*{_SUFFIX}"))


def _parsed(line: bytes) -> list[str]:
    """Reads a line of a note; what is no list of trials counts for none."""
    try:
        content = parse_json(line)
    except ValueError:
        return []
    return [key for key in content if isinstance(key, str)] if isinstance(content, list) else []
