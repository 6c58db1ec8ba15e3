"""Fetches checkpoints that other people published on the Hugging Face hub, and converts them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grasp_bench.core.errors import UserError, one_line
from grasp_bench.core.registry import find
from grasp_bench.models.hub import hub, unreachable
from grasp_bench.models.importing.conversion import Foreign, import_checkpoint

FOLDER = Path("data/models")


@dataclass(frozen=True)
class PublishedModel:
    """A checkpoint on the hub.

    Attributes:
        kind: what `import_checkpoint` takes it for.
        repository: owner and name.
        files: SHA-256 of each by name, None where it is not known here.
        revision: the commit that these are of, None for the newest.
    """

    kind: Foreign
    repository: str
    files: Mapping[str, str | None] = field(default_factory=dict)
    revision: str | None = None


# Neither commits nor hashes could be looked up where this was written: the card of what is
# fetched holds them, and `--revision` fixes the commit.
PUBLISHED: dict[str, PublishedModel] = {
    "lewm-pusht": PublishedModel(
        "lewm", "quentinll/lewm-pusht", {"config.json": None, "weights.pt": None}
    )
}
# On another server than the hub, behind a page that only a browser passes.
BY_HAND = {
    "dino-wm": (
        "download the folder checkpoints/outputs/pusht from https://osf.io/bmw48/"
        "?view_only=a56a296ce3b24cceaf408383a175ce28 and run 'grasp-bench models import dino-wm "
        "FOLDER'"
    )
}


def fetch_model(name: str, out: Path, command: str, revision: str | None = None) -> dict[str, Any]:
    """Downloads a published checkpoint, unless it is there, and converts it; returns the card.

    The hub's client goes on after a dropped connection, and a file that is there is not fetched
    again.

    Args:
        name: of the checkpoint.
        out: the file to write, `.safetensors`.
        command: how the user asked for it, for the card.
        revision: a commit or branch; by default the pinned one, or the newest.

    Raises:
        UserError: no such checkpoint, it cannot be downloaded (the sentence holds the steps to do
            by hand), or what came is another one.
    """
    if name in BY_HAND:
        raise UserError(f"'{name}' is not on the Hugging Face hub: {BY_HAND[name]}")
    published = find("published model", name, PUBLISHED)
    folder = FOLDER / name
    for file, sha256 in published.files.items():
        path = _downloaded(published, file, folder, revision or published.revision)
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if sha256 is not None and revision is None and found != sha256:
            raise UserError(
                f"'{path}' is not the published file: its SHA-256 is {found}, not {sha256}; "
                "delete it and fetch it again"
            )
    return import_checkpoint(published.kind, folder, out, command)


def _downloaded(published: PublishedModel, file: str, folder: Path, revision: str | None) -> Path:
    repository, client = published.repository, hub()
    by_hand = (
        f"get {' and '.join(published.files)} from https://huggingface.co/{repository} on another "
        f"machine, put them into '{folder}' and run 'grasp-bench models import {published.kind} "
        f"{folder}'"
    )
    if reason := unreachable():
        raise UserError(f"'{repository}' cannot be downloaded ({reason}): {by_hand}")
    try:
        found = client.hf_hub_download(repository, file, revision=revision, local_dir=folder)
    except Exception as error:  # of the network, or of the hub
        reason = one_line(str(error).partition("\n")[0] or type(error).__name__, 200)
        raise UserError(f"'{repository}' cannot be downloaded ({reason}): {by_hand}") from error
    return Path(found)
