"""Checkpoints by name: `checkpoints/NAME.safetensors` with a card, `NAME.json`, beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from grasp_bench.errors import UserError
from grasp_bench.models.card import load_weights, read_card, save_weights, write_card
from grasp_bench.models.compact import CompactConfig, CompactWorldModel
from grasp_bench.models.jepa import JepaConfig, JepaWorldModel
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.patch import PatchConfig, PatchWorldModel
from grasp_bench.models.pose import PoseWorldModel
from grasp_bench.models.prior import LatentPrior
from grasp_bench.models.prior_file import load_prior
from grasp_bench.registry import Registry, did_you_mean
from grasp_bench.types import WorldModel

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
        prior_sha256: of the action prior's weights, None if the model has no prior.
    """

    model: WorldModel
    name: str
    sha256: str
    card: dict[str, Any]
    prior_sha256: str | None = None


# Untrained models of the shipped architectures, by the kind and architecture a card names.
BUILDERS: dict[str, Callable[[dict[str, Any]], LatentWorldModel]] = {
    CompactWorldModel.kind: lambda given: CompactWorldModel(CompactConfig(**given)),
    JepaWorldModel.kind: lambda given: JepaWorldModel(JepaConfig(**given)),
    PatchWorldModel.kind: lambda given: PatchWorldModel(PatchConfig(**given)),
    PoseWorldModel.kind: lambda given: PoseWorldModel(PatchConfig(**given)),
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
    return save_weights(
        path,
        model.state_dict(),
        {"kind": model.kind, "architecture": model.config.to_json(), **card},
    )


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
    write_card(path, card | {"held_out": card.get("held_out", {}) | held_out})
    return path.with_suffix(".json")


def checkpoint_paths() -> dict[str, Path]:
    """The shipped and local checkpoints by name; the working directory's come first."""
    found: dict[str, Path] = {}
    for folder in CHECKPOINT_FOLDERS:
        for path in sorted(folder.glob("*.safetensors")):
            found.setdefault(path.stem, path)
    return found


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
    model = load_weights(path, card, lambda card: BUILDERS[card["kind"]](card["architecture"]))
    where = find_device(device)
    model.to(where)
    model.eval().requires_grad_(False)
    found = load_prior(path, card["sha256"], where)
    if found is None:
        return LoadedModel(model, path.stem, card["sha256"], card)
    prior, prior_sha256 = found
    model.attach_prior(LatentPrior(prior, model.summary))
    return LoadedModel(model, path.stem, card["sha256"], card, prior_sha256)
