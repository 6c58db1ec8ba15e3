"""Knows task sets that are not shipped: their tasks are other people's data, their hashes are not.

A user makes the file of such a set from the published recording. The file must have the hash that
is written down here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grasp_bench.core.errors import UserError
from grasp_bench.tasks.window_options import EpisodeSplit, WindowOptions

IMPORTED_FOLDER = Path("data") / "tasks"
# The working directory comes before the repository, if this package runs from one.
_ROOTS = (Path(), Path(__file__).parents[2])


@dataclass(frozen=True)
class KnownSet:
    """A hash-locked task set that is made from a published recording.

    Attributes:
        name: of the set and of its file.
        options: that its windows are cut with.
        published: names the recording, for `grasp-bench data fetch`.
        recording: where that command puts it.
        recording_sha256: `Recording.sha256` that must come out.
        sha256: of the parquet file that must come out.
    """

    name: str
    options: WindowOptions
    published: str
    recording: Path
    recording_sha256: str
    sha256: str

    @property
    def file(self) -> Path:
        """The parquet file, relative to the working directory."""
        return IMPORTED_FOLDER / f"{self.name}.parquet"

    @property
    def commands(self) -> list[str]:
        """The commands that make it."""
        horizons = ",".join(map(str, self.options.horizons))
        return [
            f"grasp-bench data fetch {self.published}",
            f"grasp-bench tasks import {self.recording} --horizons {horizons} "
            f"--windows {self.options.windows} --split {self.options.split} "
            f"--seed {self.options.seed} --name {self.name} --out {self.file}",
        ]

    def find(self) -> Path | None:
        """Returns its file, None if it has not been made."""
        return next((root / self.file for root in _ROOTS if (root / self.file).is_file()), None)

    def path(self) -> Path:
        """Returns its file.

        Raises:
            UserError: it has not been made; the sentence holds the commands.
        """
        if (found := self.find()) is not None:
            return found
        how = " and ".join(f"'{command}'" for command in self.commands)
        raise UserError(f"the task set '{self.name}' is not at {self.file}: make it with {how}")


_HORIZONS = (10, 20, 25, 30, 40, 50, 60, 70, 80)
HUMAN_RECORDING_SHA256 = "07431ccc40a3cc7c9ec6844d654e10473d299b91714671a66797d89f6defbd94"


def _human(name: str, split: EpisodeSplit, sha256: str) -> KnownSet:
    return KnownSet(
        name,
        WindowOptions(_HORIZONS, split=split),
        published="pusht-human",
        recording=Path("data/pusht-human/pusht_cchi_v7_replay.zarr"),
        recording_sha256=HUMAN_RECORDING_SHA256,
        sha256=sha256,
    )


KNOWN: dict[str, KnownSet] = {
    known.name: known
    for known in (
        _human("human", "eval", "880a43bb1b730f480fb14552ca31ab35bdb39d12b9fef7af9af8a430c97366c5"),
        _human(
            "human-tune", "tune", "2ae1e3765065fee1c94edb4d9c3f82e1bbd6e5be98b70720d929d04a2b7abbfc"
        ),
    )
}


def known_name(sha256: str) -> str | None:
    """Returns the name of the known set whose file has that hash, None if no set has it."""
    return next((known.name for known in KNOWN.values() if known.sha256 == sha256), None)
