"""Reads and writes tuned settings: `settings/NAME.json` beside their checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from grasp_bench.core.errors import UserError
from grasp_bench.core.files import write_atomically
from grasp_bench.core.json_files import read_json, shown, typed
from grasp_bench.models.checkpoint import CHECKPOINT_FOLDERS, find_checkpoint, is_plugin
from grasp_bench.models.variants import split_variants
from grasp_bench.planners.configure import Setting
from grasp_bench.trial.protocol import ClockKind

FOLDER = "settings"
VERSION = 1
_MOST = 10**6  # of whatever is counted
_LONGEST = 100  # characters of a hyperparameter's name and value


@dataclass(frozen=True)
class TuningBudget:
    """Says what every planner had at every horizon.

    Attributes:
        settings: that were tried, the default included.
        tasks: of the tuning set, that each was tried on.
        budget: planner time of a task, in the clock's unit.
        clock: of the trials.
        workers: processes beside each other.
    """

    settings: int
    tasks: int
    budget: float
    clock: ClockKind
    workers: int

    def __post_init__(self) -> None:
        for name in ("settings", "tasks", "workers"):
            _check_count(name, getattr(self, name))
        if self.budget <= 0:
            raise ValueError(f"budget is {self.budget}, not more than 0")


@dataclass(frozen=True)
class TunedCell:
    """Holds the best settings of a planner at a horizon.

    Attributes:
        settings: the hyperparameters that are not the defaults.
        par2, success: their result, see `grasp_bench.tuning.study.Tried`.
        default_par2, default_success: the defaults' on the same tasks.
    """

    settings: Mapping[str, Setting]
    par2: float | None
    success: float
    default_par2: float | None
    default_success: float

    def __post_init__(self) -> None:
        for name in ("success", "default_success"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, not a share")
        for text in (*self.settings, *self.settings.values()):
            if isinstance(text, str) and not (text.isprintable() and len(text) <= _LONGEST):
                raise ValueError(f"{shown(text)} is not printable text of {_LONGEST} characters")


@dataclass(frozen=True)
class TunedSettings:
    """Holds the settings of a world model's planners.

    Attributes:
        model: its name.
        model_sha256: of its weights; for others the settings do not count.
        tuning: the budget.
        made: with what, when and where: hardware, versions, hashes.
        planners: by name and horizon.
    """

    model: str
    model_sha256: str
    tuning: TuningBudget
    made: Mapping[str, object]
    planners: Mapping[str, Mapping[int, TunedCell]]

    def __post_init__(self) -> None:
        for cells in self.planners.values():
            for horizon in cells:
                _check_count("a horizon", horizon)

    def nearest(self, planner: str, horizon: int) -> TunedCell | None:
        """Returns the settings at the nearest tuned horizon, the longer of two, if any."""
        cells = self.planners.get(planner)
        if not cells:
            return None
        return cells[min(cells, key=lambda tuned: (abs(tuned - horizon), -tuned))]

    def described(self) -> str:
        """Says in a phrase what finding the settings took."""
        horizons = sorted({horizon for cells in self.planners.values() for horizon in cells})
        unit = "planner seconds" if self.tuning.clock == "wall" else "candidates"
        return (
            f"the best of {self.tuning.settings} settings on {self.tuning.tasks} tuning tasks of "
            f"{self.tuning.budget:g} {unit} each, per planner, tuned at "
            f"H={', '.join(map(str, horizons))}"
        )


@dataclass(frozen=True)
class SettingsFile:
    """Holds tuned settings as they were read.

    Attributes:
        path: of the file.
        sha256: of its bytes.
        content: what it says.
    """

    path: Path
    sha256: str
    content: TunedSettings

    def fits(self, model_sha256: str) -> bool:
        """Tells whether the settings were tuned on these weights."""
        return self.content.model_sha256 == model_sha256


def find_settings(model: str) -> SettingsFile | None:
    """Reads a model's tuned settings, whatever weights they are of; None if there are none.

    Args:
        model: name or path of a checkpoint, or name of an installed package's model.

    Raises:
        UserError: the file cannot be read, or is malformed.
    """
    model, _ = split_variants(model)
    if is_plugin(model):
        candidates = [folder / FOLDER / f"{model}.json" for folder in CHECKPOINT_FOLDERS]
    else:
        checkpoint = find_checkpoint(model)
        candidates = [checkpoint.parent / FOLDER / f"{checkpoint.stem}.json"]
    return next((read_settings(path) for path in candidates if path.is_file()), None)


def read_settings(path: Path) -> SettingsFile:
    """Reads the tuned settings in a file.

    Raises:
        UserError: it cannot be read, is malformed, or of another version.
    """
    try:
        content, data = read_json(path)
        if not isinstance(content, dict) or content.pop("settings_version", None) != VERSION:
            raise ValueError(f"not of version {VERSION}")
        parsed = typed(TunedSettings, content, "the file")
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' holds no tuned settings: {error}") from error
    return SettingsFile(path, hashlib.sha256(data).hexdigest(), parsed)


def write_settings(path: Path, content: TunedSettings) -> None:
    """Writes the file: the whole of it or nothing."""
    data = {"settings_version": VERSION, **asdict(content)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(data, indent=1) + "\n").encode())


def _check_count(name: str, count: int) -> None:
    if not 1 <= count <= _MOST:
        raise ValueError(f"{name} is {shown(count)}, not 1 to {_MOST}")
