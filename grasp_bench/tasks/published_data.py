"""Downloads recordings that other people published, and checks that they are the known ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from grasp_bench.core.errors import UserError
from grasp_bench.core.registry import find
from grasp_bench.tasks.importing import read_recording
from grasp_bench.tasks.importing.download import NetworkError, download
from grasp_bench.tasks.importing.zip_folder import extract_folder
from grasp_bench.tasks.known_sets import HUMAN_RECORDING_SHA256


@dataclass(frozen=True)
class PublishedRecording:
    """A recording on somebody else's server.

    Attributes:
        url: of a zip file.
        folder: where its store goes, relative to the working directory.
        store: name of the folder in the zip that is the recording.
        left_out: folders of the store that are not needed.
        sha256: `Recording.sha256` that must come out.
        licence: its name, and who gives it.
    """

    url: str
    folder: Path
    store: str
    left_out: tuple[str, ...]
    sha256: str
    licence: str

    @property
    def path(self) -> Path:
        """Where the recording is, once it has been fetched."""
        return self.folder / self.store


PUBLISHED: dict[str, PublishedRecording] = {
    "pusht-human": PublishedRecording(
        url="https://diffusion-policy.cs.columbia.edu/data/training/pusht.zip",
        folder=Path("data/pusht-human"),
        store="pusht_cchi_v7_replay.zarr",
        left_out=("data/img",),
        sha256=HUMAN_RECORDING_SHA256,
        licence="MIT, (c) 2023 Columbia Artificial Intelligence and Robotics Lab",
    )
}


def licence_of(sha256: str) -> str | None:
    """Returns the licence of the published recording with this `Recording.sha256`, if known."""
    return next((known.licence for known in PUBLISHED.values() if known.sha256 == sha256), None)


def fetch_recording(
    name: str, progress: Callable[[int, int | None], None] = lambda done, total: None
) -> Path:
    """Downloads a published recording, unless it is there, and checks it.

    Args:
        name: of the recording.
        progress: called with the bytes so far and the bytes in all, where the server says them.

    Returns:
        The recording's path. A second call checks what is there.

    Raises:
        UserError: no such recording, it cannot be downloaded (the sentence holds the steps to do
            by hand), or what came is another one.
    """
    published = find("recording", name, PUBLISHED)
    target = published.path
    if not target.exists():
        archive = published.folder / "download.zip"
        unpacked = published.folder / "unpacked.tmp" / published.store
        shutil.rmtree(unpacked.parent, ignore_errors=True)
        try:
            if not archive.exists():
                download(published.url, archive, progress)
        except NetworkError as error:
            raise UserError(
                f"{published.url} cannot be downloaded ({error}): get it on another machine, "
                f"unpack it so that '{target}' is there, and check it with "
                f"'grasp-bench data fetch {name}'"
            ) from error
        try:
            extract_folder(archive, published.store, unpacked, published.left_out)
            _check(published, unpacked)
            unpacked.rename(target)
        finally:
            archive.unlink()
            shutil.rmtree(unpacked.parent, ignore_errors=True)
    _check(published, target)
    return target


def _check(published: PublishedRecording, path: Path) -> None:
    found = read_recording(path).sha256
    if found != published.sha256:
        raise UserError(
            f"'{path}' is not the published recording: the SHA-256 of its arrays is {found}, "
            f"not {published.sha256}; delete it and fetch it again"
        )
