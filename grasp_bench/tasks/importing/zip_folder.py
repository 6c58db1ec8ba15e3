"""Unpacks one folder of a zip file that anybody may have written."""

from __future__ import annotations

import stat
import zlib
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from grasp_bench.core.errors import UserError
from grasp_bench.core.json_files import shown

LARGEST_FOLDER = 2**30  # bytes, unpacked
MOST_FILES = 100_000
_CHUNK = 2**20


def extract_folder(archive: Path, name: str, target: Path, left_out: tuple[str, ...] = ()) -> None:
    """Unpacks a folder of a zip file, wherever it lies in it.

    Args:
        archive: the zip file.
        name: of the folder.
        target: the folder to make.
        left_out: folders in it that are not unpacked.

    Raises:
        UserError: the zip is damaged, has no such folder, is too large, or holds a link or a
            name that leads out of the folder.
    """
    try:
        with ZipFile(archive) as file:
            members = _members(file.infolist(), name, left_out, archive)
            written = 0
            for relative, member in members.items():
                path = target / relative
                path.parent.mkdir(parents=True, exist_ok=True)
                with file.open(member) as source, path.open("wb") as out:
                    while chunk := source.read(_CHUNK):
                        written += len(chunk)
                        if written > LARGEST_FOLDER:
                            raise UserError(f"'{archive}' unpacks to more than {LARGEST_FOLDER}")
                        out.write(chunk)
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"'{archive}' is no complete zip file: {error}") from error


def _members(
    infos: list[ZipInfo], name: str, left_out: tuple[str, ...], archive: Path
) -> dict[PurePosixPath, ZipInfo]:
    """Returns the files of the folder by their path in it."""
    if len(infos) > MOST_FILES:
        raise UserError(f"'{archive}' holds {len(infos)} files: expected at most {MOST_FILES}")
    members = {}
    for info in infos:
        path = PurePosixPath(info.filename)
        if path.is_absolute() or ".." in path.parts or set(info.filename) & {"\\", ":", "\0"}:
            raise UserError(f"'{archive}' holds a file outside its folder: {shown(info.filename)}")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise UserError(f"'{archive}' holds a link: {shown(info.filename)}")
        if name not in path.parts or info.is_dir():
            continue
        relative = PurePosixPath(*path.parts[path.parts.index(name) + 1 :])
        if not any(relative.is_relative_to(folder) for folder in left_out):
            members[relative] = info
    if not members:
        raise UserError(f"'{archive}' holds no folder '{name}'")
    if sum(info.file_size for info in members.values()) > LARGEST_FOLDER:
        raise UserError(f"'{archive}' unpacks to more than {LARGEST_FOLDER} bytes")
    return members
