"""Turns a checkpoint of another project into one of this package, once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal, cast

import torch

from grasp_bench.core.errors import UserError
from grasp_bench.core.version import __version__
from grasp_bench.models.certificate import activations
from grasp_bench.models.checkpoint import save_checkpoint
from grasp_bench.models.dino_wm import DinoWM
from grasp_bench.models.dinov2 import load_dino_weights, read_dino_config
from grasp_bench.models.importing.dino_wm_files import read_dino_wm
from grasp_bench.models.importing.lewm_files import read_lewm
from grasp_bench.models.lewm import LeWM
from grasp_bench.models.patch_encoder import DinoEncoder

Foreign = Literal["dino-wm", "lewm"]
BACKBONE = "facebook/dinov2-small"


def import_checkpoint(
    kind: Foreign, path: Path, out: Path, command: str, backbone: str = BACKBONE
) -> dict[str, Any]:
    """Converts a checkpoint and writes it with its card; returns the card.

    Args:
        kind: whose it is.
        path: of the checkpoint, a folder or a file.
        out: ends in `.safetensors`.
        command: how the user asked for it, for the card.
        backbone: of DINO-WM, which stores no encoder: a name on the hub or a folder.

    Raises:
        UserError: the checkpoint, or the backbone, is not there or not of that kind.
    """
    if out.suffix != ".safetensors":
        raise UserError(f"--out {out}: a checkpoint's name ends in .safetensors")
    if not path.exists():
        raise UserError(f"there is no checkpoint '{path}'")
    model: DinoWM | LeWM
    if kind == "lewm":
        model, left_out = read_lewm(path)
        source: dict[str, Any] = {}
    else:
        model, left_out = _read_dino_wm(path, backbone)
        source = {"backbone": backbone}
    model.eval().requires_grad_(False)
    buffers = ("action_mean", "action_std", "proprio_mean", "proprio_std")
    statistics = {name: value.tolist() for name, value in model.named_buffers() if name in buffers}
    card = {
        "command": command,
        "package_version": __version__,
        "source": source | {"path": str(path), "sha256": _sha256(path)},
        "left_out": left_out,
        "normalisation": statistics,
        "torch_version": torch.__version__,
        "certificate": activations(model),
    }
    return save_checkpoint(model, out, card)


def _read_dino_wm(path: Path, backbone: str) -> tuple[DinoWM, list[str]]:
    model, left_out = read_dino_wm(path, lambda: read_dino_config(backbone))
    load_dino_weights(cast(DinoEncoder, model.encoder), backbone)
    return model, left_out


def _sha256(path: Path) -> str:
    """Hashes the checkpoint's file, or the largest of a folder: its weights."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    largest = max(files, key=lambda file: file.stat().st_size)
    with largest.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
