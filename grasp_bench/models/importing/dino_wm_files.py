"""Converts DINO-WM's Push-T checkpoint (gaoyuezhou/dino_wm) to a `DinoWM`."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.json_files import shown
from grasp_bench.models.dino_wm import DinoWM, DinoWMConfig
from grasp_bench.models.importing.filling import count_layers, filled, said
from grasp_bench.models.importing.torch_archive import named_tensors, read_torch_archive
from grasp_bench.models.patch_encoder import DinoConfig

# Of the data set, as its code has them: relative actions / 100, agent x, y, vx, vy.
ACTION_MEAN, ACTION_STD = (-0.0087, 0.0068), (0.2019, 0.2002)
PROPRIO_MEAN = (236.6155, 264.5674, -2.93032027, 2.54307914)
PROPRIO_STD = (101.1202, 87.0112, 74.84556075, 74.14009094)
_MODULES = ("predictor", "action_encoder", "proprio_encoder")
_HEADS = 16  # where no hydra.yaml says how many
_LARGEST_SETTINGS = 2**16  # bytes
# Settings of hydra.yaml that this architecture stands for.
_EXPECTED = {"concat_dim": 1, "num_action_repeat": 1, "num_proprio_repeat": 1, "num_pred": 1}
# Their names in a transformer's layer, and ours.
_LAYER = {
    "0.norm": "attention.norm",
    "0.to_qkv": "attention.read",
    "0.to_out.0": "attention.write.0",
    "1.net.0": "mlp.0",
    "1.net.1": "mlp.1",
    "1.net.4": "mlp.4",
}


def read_dino_wm(path: Path, read_encoder: Callable[[], DinoConfig]) -> tuple[DinoWM, list[str]]:
    """Reads a checkpoint of the original code; the encoder's weights are left to load.

    Args:
        path: a folder with `hydra.yaml` and `checkpoints/model_latest.pth`, or such a file.
        read_encoder: returns the architecture of the DINOv2, whose weights the checkpoint does
            not hold; called once the file is known to be a checkpoint.

    Returns:
        The model, and what of the checkpoint it has no use for.

    Raises:
        UserError: the file is damaged, or is not of this kind; says which tensor is missing or
            left over.
    """
    file = path / "checkpoints" / "model_latest.pth" if path.is_dir() else path
    content = read_torch_archive(file)
    if not isinstance(content, dict):
        raise UserError(f"'{file}' holds {type(content).__name__}, not DINO-WM's modules by name")
    for name in _MODULES:
        if name not in content:
            raise UserError(f"'{file}' holds no '{name}', so it is no DINO-WM checkpoint")
    theirs = {name: named_tensors(content[name]) for name in _MODULES}
    encoder = read_encoder()
    try:
        weights = _renamed(theirs)
        config = _config(weights, encoder, _heads(file.parent.parent / "hydra.yaml"))
    except UserError:
        raise
    except Exception as error:  # of tensors of any shape
        raise UserError(f"'{file}' has not DINO-WM's layout: {said(error)}") from error
    model = filled(lambda: DinoWM(config), weights, file, _is_elsewhere)
    _set_statistics(model)
    return model, sorted(str(name) for name in content if name not in _MODULES)


def _heads(settings: Path) -> int:
    """Returns the predictor's number of heads, which its tensors do not tell.

    Raises:
        ValueError: the settings cannot be read, or are of another architecture.
    """
    if not settings.exists():
        return _HEADS
    with settings.open("rb") as file:
        content = file.read(_LARGEST_SETTINGS)
    try:
        found = _read_yaml(content)
        heads = int(found["predictor"]["heads"])
    except UserError:
        raise
    except Exception as error:  # YAML of any content
        raise ValueError(f"{settings.name} names no predictor.heads") from error
    for name, value in _EXPECTED.items():
        if found.get(name, value) != value:
            raise ValueError(f"{name} is {shown(found[name])} where only {value} is known")
    return heads


def _read_yaml(content: bytes) -> Any:
    """Reads YAML without aliases, which multiply what a file says."""
    library = yaml()

    class Plain(library.SafeLoader):  # type: ignore[misc, name-defined]
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(library.AliasEvent):
                raise ValueError("it has an alias")
            return super().compose_node(parent, index)

    return library.load(content, Plain)


def yaml() -> Any:
    """Imports PyYAML.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module("yaml")
    except ImportError as error:
        raise UserError("hydra.yaml needs PyYAML: pip install 'grasp-bench[models]'") from error


def _renamed(theirs: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Returns the tensors by our names; the embeddings are convolutions of width 1 there."""
    found: dict[str, Tensor] = {}
    for module, ours in (("action_encoder", "embed_action"), ("proprio_encoder", "embed_proprio")):
        for name, tensor in theirs[module].items():
            part = name.removeprefix("patch_embed.")
            found[f"{ours}.{part}"] = tensor[..., 0] if tensor.ndim == 3 else tensor
    for name, tensor in theirs["predictor"].items():
        found[f"predictor.{_predictor_name(name)}"] = tensor[0] if tensor.ndim == 3 else tensor
    return {name: tensor.float() for name, tensor in found.items()}


def _predictor_name(name: str) -> str:
    if name == "pos_embedding":
        return "place"
    parts = name.split(".")
    if parts[:2] == ["transformer", "norm"]:
        return ".".join(["norm", *parts[2:]])
    if parts[:2] == ["transformer", "layers"] and len(parts) > 4:
        inside, kind = ".".join(parts[3:-1]), parts[-1]
        if inside in _LAYER:
            return f"blocks.{parts[2]}.{_LAYER[inside]}.{kind}"
    raise ValueError(f"nothing here reads {shown(name)}")


def _config(weights: Mapping[str, Tensor], encoder: DinoConfig, heads: int) -> DinoWMConfig:
    """Reads the sizes off the tensors."""
    actions, proprio = weights["embed_action.weight"], weights["embed_proprio.weight"]
    places, width = weights["predictor.place"].shape
    features = width - len(actions) - len(proprio)
    if features != encoder["hidden_size"]:
        raise ValueError(
            f"its tokens are {features} wide, those of the encoder {encoder['hidden_size']}"
        )
    frames = next((n for n in (3, 1, 2, 4, 5) if places % n == 0 and _is_square(places // n)), 0)
    if not frames:
        raise ValueError(f"{places} places are no frames of square grids of tokens")
    side = math.isqrt(places // frames)
    read = weights["predictor.blocks.0.attention.read.weight"]
    hidden = len(weights["predictor.blocks.0.mlp.1.weight"])
    return DinoWMConfig(
        side=side,
        features=features,
        action_embedding=len(actions),
        proprio_embedding=len(proprio),
        frames=frames,
        context=frames,
        depth=count_layers(weights, "predictor.blocks."),
        heads=heads,
        head_width=len(read) // (3 * heads),
        hidden=hidden,
        frameskip=actions.shape[1] // 2,
        encoder_size=side * encoder["patch_size"],
        dinov2={**encoder, "image_size": side * encoder["patch_size"]},
    )


def _is_square(number: int) -> bool:
    return math.isqrt(number) ** 2 == number


def _is_elsewhere(name: str) -> bool:
    return name.startswith("encoder.") or name.endswith(("_mean", "_std"))


def _set_statistics(model: DinoWM) -> None:
    """Sets those of the data set, which the checkpoint does not hold."""
    with torch.no_grad():
        for name, values in (
            ("action_mean", ACTION_MEAN),
            ("action_std", ACTION_STD),
            ("proprio_mean", PROPRIO_MEAN),
            ("proprio_std", PROPRIO_STD),
        ):
            model.get_buffer(name).copy_(torch.tensor(values))
