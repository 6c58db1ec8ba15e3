"""Converts LeWM's Push-T checkpoint (stable-worldmodel, le-wm) to a `LeWM`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.json_files import read_json, shown, typed
from grasp_bench.models.importing.dino_wm_files import ACTION_MEAN, ACTION_STD
from grasp_bench.models.importing.filling import count_layers, filled, said
from grasp_bench.models.importing.torch_archive import Record, named_tensors, read_torch_archive
from grasp_bench.models.lewm import LeWM, LeWMConfig
from grasp_bench.models.vit import ViTConfig

_HEADS, _VIT_HEADS = 16, 3  # the tensors do not tell; the published configuration does
_HEADS_OF = {"tiny": 3, "small": 6, "base": 12}  # of the ViT, by its size
# Names of the original and ours, {} being a block's number. The encoder's names are those of the
# transformers library before and since its version 5.
_NAMES = {
    "encoder.embeddings.cls_token": "encoder.first",
    "encoder.embeddings.position_embeddings": "encoder.place",
    "encoder.embeddings.patch_embeddings.projection": "encoder.patches",
    "encoder.layernorm": "encoder.norm",
    "predictor.pos_embedding": "place",
    "predictor.transformer.norm": "norm",
    "action_encoder.patch_embed": "smooth_action",
    "action_encoder.embed": "embed_action",
    "projector.net": "project",
    "pred_proj.net": "project_prediction",
}
_VIT_LAYER = {
    "attention.attention.query": "query",
    "attention.attention.key": "key",
    "attention.attention.value": "value",
    "attention.output.dense": "write",
    "intermediate.dense": "mlp.0",
    "output.dense": "mlp.2",
    "layernorm_before": "norm",
    "layernorm_after": "norm_mlp",
    "attention.q_proj": "query",
    "attention.k_proj": "key",
    "attention.v_proj": "value",
    "attention.o_proj": "write",
    "mlp.fc1": "mlp.0",
    "mlp.fc2": "mlp.2",
}
_LAYER = {
    "attn.norm": "attention.norm",
    "attn.to_qkv": "attention.read",
    "attn.to_out.0": "attention.write.0",
    "mlp.net.0": "mlp.0",
    "mlp.net.1": "mlp.1",
    "mlp.net.4": "mlp.3",
    "adaLN_modulation.1": "modulate.1",
}
_BATCH_NORM = {"weight": "scale", "bias": "shift", "running_mean": "mean",
               "running_var": "variance"}  # fmt: skip
_COUNTER = "num_batches_tracked"  # of training alone


class _Predictor(TypedDict, total=False):
    heads: int


class _Encoder(TypedDict, total=False):
    size: str


class _Settings(TypedDict, total=False):
    """Holds what of a config.json the tensors do not tell."""

    predictor: _Predictor
    encoder: _Encoder


def read_lewm(path: Path) -> tuple[LeWM, list[str]]:
    """Reads a checkpoint of the original code.

    Args:
        path: a folder with `config.json` and one `.pt`, or a file: `weights.pt`, or of the
            older `NAME_weight.ckpt` and `NAME_object.ckpt`.

    Returns:
        The model, and the tensors that only training has a use for.

    Raises:
        UserError: the file is damaged, or is not of this kind; says which tensor is missing or
            left over.
    """
    file, heads, vit_heads = _file_and_heads(path)
    content = read_torch_archive(file)
    theirs = named_tensors(content) if isinstance(content, Record) else content
    if not isinstance(theirs, dict):
        raise UserError(f"'{file}' holds {type(content).__name__}, not a state dict")
    tensors = {_plain(name): value for name, value in theirs.items() if isinstance(value, Tensor)}
    if len(tensors) != sum(isinstance(value, Tensor) for value in theirs.values()):
        raise UserError(f"'{file}' holds two tensors of one name")
    try:
        weights = {
            _renamed(name): _squeezed(name, value)
            for name, value in tensors.items()
            if not name.endswith(_COUNTER)
        }
        config = _config(weights, heads, vit_heads)
    except UserError:
        raise
    except Exception as error:  # of tensors of any shape
        raise UserError(f"'{file}' has not LeWM's layout: {said(error)}") from error
    model = filled(lambda: LeWM(config), weights, file, lambda name: name.startswith("action_"))
    with torch.no_grad():
        # The data are those of DINO-WM: noisy replays of the same demonstrations.
        model.action_mean.copy_(torch.tensor(ACTION_MEAN))
        model.action_std.copy_(torch.tensor(ACTION_STD))
    return model, sorted(name for name in tensors if name.endswith(_COUNTER))


def _file_and_heads(path: Path) -> tuple[Path, int, int]:
    """Returns the file of the weights, and the numbers of heads that its config.json states."""
    file = path
    if path.is_dir():
        found = sorted([*path.glob("*.pt"), *path.glob("*_weight.ckpt")])
        if len(found) != 1:
            raise UserError(f"'{path}' holds {len(found)} files of weights: name one of them")
        file = found[0]
    config = file.parent / "config.json"
    if not config.exists():
        return file, _HEADS, _VIT_HEADS
    try:
        content, _ = read_json(config)
        settings = typed(_Settings, content, "it")
    except (OSError, ValueError) as error:
        raise UserError(f"'{config}' cannot be read as a configuration: {error}") from error
    size = settings.get("encoder", {}).get("size", "tiny")
    if size not in _HEADS_OF:
        raise UserError(
            f"'{config}': an encoder of size {shown(size)}: known: {', '.join(_HEADS_OF)}"
        )
    return file, settings.get("predictor", {}).get("heads", _HEADS), _HEADS_OF[size]


def _plain(name: object) -> str:
    # Lightning and the object files put the model under a name.
    return str(name).removeprefix("model.").removeprefix("world_model.")


def _renamed(name: str) -> str:
    """Returns our name of a tensor."""
    for pattern, layer, ours in (
        (
            r"encoder\.(?:encoder\.layer|layers|encoder\.layers)\.(\d+)\.(.+)\.(\w+)",
            _VIT_LAYER,
            "encoder.",
        ),
        (r"predictor\.transformer\.layers\.(\d+)\.(.+)\.(\w+)", _LAYER, ""),
    ):
        match = re.fullmatch(pattern, name)
        if match and match[2] in layer:
            return f"{ours}blocks.{match[1]}.{layer[match[2]]}.{match[3]}"
    for theirs, ours in _NAMES.items():
        if name == theirs:
            return ours
        if name.startswith(f"{theirs}."):
            rest = name.removeprefix(f"{theirs}.")
            place, _, kind = rest.rpartition(".")
            if ours.startswith("project") and place == "1":
                rest = f"1.{_BATCH_NORM.get(kind, kind)}"
            return f"{ours}.{rest}"
    raise ValueError(f"nothing here reads {shown(name)}")


def _squeezed(name: str, tensor: Tensor) -> Tensor:
    """Drops the dimensions that the original has and we have not."""
    if name.endswith(("cls_token", "position_embeddings", "pos_embedding")):
        return tensor.reshape(-1, tensor.shape[-1]).squeeze(0).float()
    if name == "action_encoder.patch_embed.weight":
        return tensor[..., 0].float()
    return tensor.float()


def _config(weights: Mapping[str, Tensor], heads: int, vit_heads: int) -> LeWMConfig:
    """Reads the sizes off the tensors."""
    patches, place = weights["encoder.patches.weight"], weights["encoder.place"]
    vit = ViTConfig(
        width=len(patches),
        depth=count_layers(weights, "encoder.blocks."),
        heads=vit_heads,
        hidden=len(weights["encoder.blocks.0.mlp.0.weight"]),
        image_size=math.isqrt(len(place) - 1) * patches.shape[-1],
        patch_size=patches.shape[-1],
    )
    frames, width = weights["place"].shape
    smooth = weights["smooth_action.weight"]
    return LeWMConfig(
        vit=vit,
        width=width,
        frames=frames,
        context=frames,
        depth=count_layers(weights, "blocks."),
        heads=heads,
        head_width=len(weights["blocks.0.attention.read.weight"]) // (3 * heads),
        hidden=len(weights["blocks.0.mlp.1.weight"]),
        smoothed=len(smooth),
        action_hidden=len(weights["embed_action.0.weight"]),
        projection=len(weights["project.0.weight"]),
        frameskip=smooth.shape[1] // 2,
    )
