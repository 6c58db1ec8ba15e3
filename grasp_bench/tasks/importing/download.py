"""Downloads one file with the standard library; a stopped download goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from grasp_bench.core.errors import describe
from grasp_bench.core.version import __version__

LARGEST_DOWNLOAD = 2**30  # bytes
_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 2**20
_RANGE_NOT_SATISFIABLE = 416


class NetworkError(Exception):
    """A file cannot be downloaded. The message says why."""


def download(url: str, path: Path, progress: Callable[[int, int | None], None]) -> None:
    """Downloads a file; what has come is kept in a file that ends in `.part`.

    Args:
        url: of the file.
        path: where the whole file goes.
        progress: called with the bytes so far and the bytes in all, where the server says them.

    Raises:
        NetworkError: anything went wrong on the way, or the file is larger than 1 GiB.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        _download(url, part, progress)
    except HTTPError as error:
        if error.code != _RANGE_NOT_SATISFIABLE or not part.exists():
            raise NetworkError(f"HTTP {error.code}") from error
        part.unlink()  # of another file, longer than this one
        return download(url, path, progress)
    except (OSError, HTTPException, ValueError) as error:
        raise NetworkError(describe(error)) from error
    part.rename(path)
    return None


def _download(url: str, part: Path, progress: Callable[[int, int | None], None]) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": f"grasp-bench/{__version__}"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with urlopen(Request(url, headers=headers), timeout=_TIMEOUT) as response:
        if not _goes_on(response, have):
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None else None
        if total is not None and total > LARGEST_DOWNLOAD:
            raise NetworkError(f"it is {total} bytes large, at most {LARGEST_DOWNLOAD} are read")
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab" if have else "wb") as file:
            while chunk := response.read(_CHUNK):
                have += len(chunk)
                if have > LARGEST_DOWNLOAD:
                    raise NetworkError(f"it is larger than {LARGEST_DOWNLOAD} bytes")
                file.write(chunk)
                progress(have, total)
    if total is not None and have < total:
        raise NetworkError(f"the connection ended after {have} of {total} bytes")


def _goes_on(response: Any, have: int) -> bool:
    """Tells whether a response begins at the byte that was asked for."""
    given = str(response.headers.get("Content-Range", ""))
    return response.status == 206 and given.startswith(f"bytes {have}-")
