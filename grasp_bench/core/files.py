"""Writes files so that a reader never sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"


@contextmanager
def named_in_errors(path: Path) -> Iterator[None]:
    """Names the file in an OSError that names none, as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file's content; at every moment it is the old or the new one.

    The new one is on the disk when this returns, under its name.

    Raises:
        OSError: it cannot be written. It names the file, and the old content is still there.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        with named_in_errors(path), temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()  # on a full disk it takes the room of what could be stored
        raise


def _sync_folder(folder: Path) -> None:
    """Has the names in a folder outlive a power cut, where the system can do that."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
