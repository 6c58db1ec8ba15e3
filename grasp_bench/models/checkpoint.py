"""Checkpoints: weights as safetensors, everything else as a JSON card beside them.

`checkpoints/NAME.safetensors` and `checkpoints/NAME.json`. The card names the weights'
SHA-256, so a truncated, exchanged or edited file is refused. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from grasp_bench.errors import UserError
from grasp_bench.models.compact import CompactConfig, CompactWorldModel
from grasp_bench.models.jepa import JepaConfig, JepaWorldModel
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.patch import PatchConfig, PatchWorldModel
from grasp_bench.registry import Registry, did_you_mean
from grasp_bench.types import WorldModel

CARD_VERSION = 1
# The working directory's, a source tree's, and where an installed wheel puts the shipped ones.
CHECKPOINT_FOLDERS = (
    Path("checkpoints"),
    Path(__file__).parents[2] / "checkpoints",
    Path(sys.prefix) / "share" / "grasp-bench" / "checkpoints",
)


@dataclass(frozen=True)
class LoadedModel:
    """A world model ready to plan with.

    Attributes:
        model: in evaluation mode, without parameter gradients.
        name: the checkpoint's or the plugin's.
        sha256: of the weights.
        card: the checkpoint's JSON card.
    """

    model: WorldModel
    name: str
    sha256: str
    card: dict[str, Any]


# Untrained models of the shipped architectures, by the kind and architecture a card names.
BUILDERS: dict[str, Callable[[dict[str, Any]], LatentWorldModel]] = {
    CompactWorldModel.kind: lambda given: CompactWorldModel(CompactConfig(**given)),
    JepaWorldModel.kind: lambda given: JepaWorldModel(JepaConfig(**given)),
    PatchWorldModel.kind: lambda given: PatchWorldModel(PatchConfig(**given)),
}

# Installed packages add world models here: a callable of the device that returns a LoadedModel.
PLUGIN_MODELS: Registry[Any] = Registry("world model", "grasp_bench.world_models")


def save_checkpoint(model: LatentWorldModel, path: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Write `path` (`.safetensors`) and its card; returns the whole card.

    Args:
        model: what to save.
        path: ends in `.safetensors`; the card goes beside it.
        card: what is known about the model; architecture and hash are added.
    """
    weights = save_tensors({k: v.contiguous() for k, v in model.state_dict().items()})
    digest = hashlib.sha256(weights).hexdigest()
    full_card = {
        "card_version": CARD_VERSION,
        "kind": model.kind,
        "architecture": model.config.to_json(),
        **card,
        "sha256": digest,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, weights)
    _write_card(path, full_card)
    return full_card


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def _write_card(path: Path, card: dict[str, Any]) -> None:
    _replace(path.with_suffix(".json"), (json.dumps(card, indent=1) + "\n").encode())


def update_card(name: str, sha256: str, held_out: dict[str, Any]) -> Path:
    """Put measurements on held-out data into the card of a checkpoint; returns the card's path.

    Args:
        name: of the checkpoint, or its path.
        sha256: of the weights that were measured.
        held_out: replaces the entries of the same names and leaves the others.

    Raises:
        UserError: no such checkpoint, or it holds other weights by now.
    """
    path = find_checkpoint(name)
    card = read_card(path)
    if card.get("sha256") != sha256:
        raise UserError(f"{path} was replaced while it was measured: its card is left alone")
    _write_card(path, card | {"held_out": card.get("held_out", {}) | held_out})
    return path.with_suffix(".json")


def checkpoint_paths() -> dict[str, Path]:
    """The shipped and local checkpoints by name; the working directory's come first."""
    found: dict[str, Path] = {}
    for folder in CHECKPOINT_FOLDERS:
        for path in sorted(folder.glob("*.safetensors")):
            found.setdefault(path.stem, path)
    return found


def read_card(path: Path) -> dict[str, Any]:
    """The card of the checkpoint at `path`.

    Raises:
        UserError: missing, not JSON, or of another version.
    """
    card_path = path.with_suffix(".json")
    try:
        card = json.loads(card_path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path} has no card: {card_path} is missing") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{card_path} cannot be read as a card: {error}") from error
    if not isinstance(card, dict) or card.get("card_version") != CARD_VERSION:
        raise UserError(f"{card_path} is not a card of version {CARD_VERSION}")
    return card


@dataclass(frozen=True)
class ModelSummary:
    """A world model that can be named: a checkpoint with its card, or a plugin without."""

    name: str
    path: Path | None
    card: dict[str, Any]

    @property
    def kind(self) -> str:
        """The architecture's name, or "plugin"."""
        return str(self.card.get("kind", "plugin"))


def list_models() -> list[ModelSummary]:
    """All world models by name: checkpoints first, then installed packages'."""
    shipped = [ModelSummary(n, p, read_card(p)) for n, p in checkpoint_paths().items()]
    return shipped + [ModelSummary(n, None, {}) for n in PLUGIN_MODELS.names()]


def find_checkpoint(name: str) -> Path:
    """The file of a checkpoint, by name or path.

    Raises:
        UserError: there is none.
    """
    known = checkpoint_paths()
    if name in known:
        return known[name]
    path = Path(name)
    if path.suffix == ".safetensors" or path.exists():
        if path.is_file():
            return path
        raise UserError(f"no checkpoint file at {path}")
    names = [*known, *PLUGIN_MODELS.names()]
    hint = did_you_mean(name, names) if names else "there are none in checkpoints/"
    raise UserError(f"unknown world model '{name}': {hint}")


def find_device(name: str) -> torch.device:
    """The torch device of that name: the CPU or a CUDA device that is there.

    Raises:
        UserError: there is none, or its seconds could not be measured.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"no device '{name}' here: {str(error).splitlines()[0]}") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device '{name}': only cpu and cuda are supported")
    return device


def load_model(name: str, device: str = "cpu") -> LoadedModel:
    """Load a world model by checkpoint name, by path, or from an installed package.

    Args:
        name: e.g. `pusht-compact`, or a path to a `.safetensors` file.
        device: where the model lives, e.g. "cpu" or "cuda".

    Raises:
        UserError: unknown name, or a file that is missing, damaged or does not match its card.
    """
    if name in PLUGIN_MODELS.names():
        loaded: LoadedModel = PLUGIN_MODELS.get(name)(device)
        return loaded
    path = find_checkpoint(name)
    card = read_card(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != card.get("sha256"):
        raise UserError(
            f"{path} is damaged or not the file its card describes: "
            f"SHA-256 {digest[:12]} instead of {str(card.get('sha256'))[:12]}"
        )
    try:
        model = BUILDERS[card["kind"]](card["architecture"])
        model.load_state_dict(load_tensors(data))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} does not hold the model its card describes: {reason}") from error
    model.to(find_device(device))
    model.eval().requires_grad_(False)
    return LoadedModel(model, path.stem, digest, card)
