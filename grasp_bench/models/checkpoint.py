"""Finds, reads and writes checkpoints: `checkpoints/NAME.safetensors` and its card `NAME.json`."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grasp_bench.core.errors import UserError
from grasp_bench.core.json_files import shown
from grasp_bench.core.plugins import is_spec
from grasp_bench.core.registry import Registry, did_you_mean
from grasp_bench.models.card import read_card, write_card
from grasp_bench.models.compact import CompactConfig, CompactWorldModel
from grasp_bench.models.dino_wm import DinoWM, DinoWMConfig
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.lewm import LeWM, LeWMConfig
from grasp_bench.models.pose import PoseConfig, PoseWorldModel
from grasp_bench.models.weights import Architecture, check_weights, load_weights, save_weights

# The working directory's, a source tree's, and where an installed wheel puts the shipped ones.
CHECKPOINT_FOLDERS = (
    Path("checkpoints"),
    Path(__file__).parents[2] / "checkpoints",
    Path(sys.prefix) / "share" / "grasp-bench" / "checkpoints",
)

FOREIGN = "swm:"  # before the name of a model that stable-worldmodel loads

CheckpointModel = LatentWorldModel | DinoWM | LeWM

# The architectures, by the kind that a card names.
_KINDS: dict[str, Architecture[Any, CheckpointModel]] = {
    CompactWorldModel.kind: Architecture(CompactConfig, CompactWorldModel),
    PoseWorldModel.kind: Architecture(PoseConfig, PoseWorldModel),
    DinoWM.kind: Architecture(DinoWMConfig, DinoWM),
    LeWM.kind: Architecture(LeWMConfig, LeWM),
}

# Installed packages add world models here: factories, as `loading.load_model` describes them.
PLUGIN_MODELS: Registry[Any] = Registry("world model", "grasp_bench.world_models")


@dataclass(frozen=True)
class ModelSummary:
    """Names a world model: a checkpoint with its card, or a plugin without.

    Attributes:
        name: of the checkpoint or plugin.
        path: of the checkpoint's weights, None for a plugin.
        card: the checkpoint's, empty if it cannot be read.
    """

    name: str
    path: Path | None
    card: dict[str, Any]

    @property
    def kind(self) -> str:
        """Returns the architecture's name, "plugin", or "unknown" for no card's."""
        if self.path is None:
            return "plugin"
        kind = self.card.get("kind")
        return kind if kind in _KINDS else "unknown"

    def problem(self) -> str | None:
        """Says why the model cannot be used, None if nothing speaks against it.

        It imports a plugin, and reads the header of a checkpoint's weights.
        """
        try:
            if self.path is None:
                PLUGIN_MODELS.get(self.name)
            else:
                card = read_card(self.path)
                check_weights(self.path, card, _kind(self.path, card))
        except UserError as error:
            return str(error)
        return None


def list_models() -> list[ModelSummary]:
    """Lists the world models that have a name, usable or not: checkpoints, then plugins."""
    shipped = [ModelSummary(n, p, _readable_card(p)) for n, p in checkpoint_paths().items()]
    return shipped + [ModelSummary(n, None, {}) for n in PLUGIN_MODELS.names()]


def _readable_card(path: Path) -> dict[str, Any]:
    try:
        return read_card(path)
    except UserError:
        return {}


def _kind(path: Path, card: dict[str, Any]) -> Architecture[Any, CheckpointModel]:
    kind = card.get("kind", "")
    if kind not in _KINDS:
        raise UserError(
            f"the card of {path} is of kind {shown(kind)}, which is no world model's: "
            f"{did_you_mean(kind[:50], _KINDS)}"
        )
    return _KINDS[kind]


def is_plugin(name: str) -> bool:
    """Tells whether a model's name is none of a checkpoint: a plugin's, or another library's."""
    return name.startswith(FOREIGN) or is_spec(name) or name in PLUGIN_MODELS.names()


def checkpoint_paths() -> dict[str, Path]:
    """Returns the checkpoints by name; one in the working directory hides a shipped one."""
    found: dict[str, Path] = {}
    for folder in CHECKPOINT_FOLDERS:
        for path in sorted(folder.glob("*.safetensors")):
            found.setdefault(path.stem, path)
    return found


def find_checkpoint(name: str) -> Path:
    """Returns the file of a checkpoint, given its name or its path.

    Raises:
        UserError: there is no such checkpoint, or the name is a plugin's.
    """
    known = checkpoint_paths()
    if name in known:
        return known[name]
    if is_plugin(name):
        raise UserError(f"world model '{name}' is a plugin: it has no checkpoint and no card")
    path = Path(name)
    if path.suffix == ".py":
        raise UserError(f"world model '{name}': name the function too: {name}:make_model")
    if path.suffix == ".safetensors" or path.exists():
        if path.is_file():
            return path
        raise UserError(f"no checkpoint file at {path}")
    names = [*known, *PLUGIN_MODELS.names()]
    hint = did_you_mean(name, names) if names else "there are none in checkpoints/"
    raise UserError(f"unknown world model '{name}': {hint}")


def save_checkpoint(model: CheckpointModel, path: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Writes a model to `path` (`.safetensors`) and its card beside; returns the whole card.

    Args:
        model: the model to save.
        path: ends in `.safetensors`.
        card: facts about the model; its architecture and SHA-256 are added.
    """
    facts = {"kind": model.kind, "architecture": asdict(model.config)}
    return save_weights(path, model.state_dict(), facts | card)


def read_checkpoint(path: Path) -> tuple[CheckpointModel, dict[str, Any]]:
    """Reads a model, in evaluation mode and without parameter gradients, and its card.

    Raises:
        UserError: the file is missing, damaged or does not match its card.
    """
    card = read_card(path)
    model = load_weights(path, card, _kind(path, card))
    return model.eval().requires_grad_(False), card


def update_card(name: str, sha256: str, held_out: dict[str, Any]) -> Path:
    """Adds measurements on held-out data to a checkpoint's card; returns the card's path.

    Args:
        name: the checkpoint's name or path.
        sha256: of the weights that were measured.
        held_out: replaces the entries of the same names and leaves the others.

    Raises:
        UserError: there is no such checkpoint, or it holds other weights by now.
    """
    path = find_checkpoint(name)
    card = read_card(path)
    if card.get("sha256") != sha256:
        raise UserError(f"{path} was replaced while it was measured: its card is left alone")
    write_card(path, card | {"held_out": card.get("held_out", {}) | held_out})
    return path.with_suffix(".json")
