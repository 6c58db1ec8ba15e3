"""Stores weights as safetensors, and loads them only into the model that their card describes.

The header of the file and the card are compared before anything is allocated. A truncated,
exchanged or edited file is refused. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypedDict, TypeVar, cast

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from grasp_bench.core.errors import UserError, describe
from grasp_bench.core.files import write_atomically
from grasp_bench.core.json_files import parse_json, shown, typed
from grasp_bench.models.card import CARD_VERSION, read_card, write_card

Config = TypeVar("Config")
Module = TypeVar("Module", bound=nn.Module)

_LARGEST_HEADER = 2**18  # bytes; a tensor takes some hundred
_TYPE, _TYPE_BYTES = "F32", 4  # of all weights
_MOST_AXES = 8
# Sizes that building takes as long as: every one of these has four tensors or more.
_LAYERS, _TENSORS_PER_LAYER = ("blocks", "encoder_blocks", "num_hidden_layers", "depth"), 4


@dataclass(frozen=True)
class Architecture(Generic[Config, Module]):
    """Names a kind of module and what configures it.

    Attributes:
        config: a dataclass of sizes.
        build: makes an untrained module of it.
    """

    config: type[Config]
    build: Callable[[Config], Module]


def save_weights(path: Path, weights: Mapping[str, Tensor], card: dict[str, Any]) -> dict[str, Any]:
    """Writes weights to `path` (`.safetensors`) and their card beside; returns the whole card."""
    data = save_tensors({name: tensor.contiguous() for name, tensor in weights.items()})
    full_card = {
        "card_version": CARD_VERSION,
        **card,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)
    write_card(path, full_card)
    return full_card


def check_weights(path: Path, card: dict[str, Any], kind: Architecture[Any, Any]) -> None:
    """Compares the header of the weights at `path` with their card.

    Raises:
        UserError: the file cannot be read or does not hold what its card describes.
    """
    with _refusing(path), path.open("rb") as file:
        _described(file, card, kind)


def load_weights(path: Path, card: dict[str, Any], kind: Architecture[Any, Module]) -> Module:
    """Builds the module that the card describes and loads the weights at `path` into it.

    Raises:
        UserError: the file cannot be read, is damaged or does not match its card, or holds
            weights that no model has.
    """
    with _refusing(path):
        with path.open("rb") as file:
            config = _described(file, card, kind)
            file.seek(0)
            data = file.read()
        digest = hashlib.sha256(data).hexdigest()
        if digest != card["sha256"]:
            raise _DamagedError(f"SHA-256 {digest[:12]} instead of {shown(card['sha256'][:12])}")
        weights = load_tensors(data)
        _check_numbers(weights, card.get("normalisation", {}))
        module = kind.build(config)
        module.load_state_dict(weights)
    return module


def shapes_of(build: Callable[[], nn.Module]) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of what a module would hold, whatever its sizes, without its memory."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch remarks on layers of no width
        return {name: tuple(value.shape) for name, value in build().state_dict().items()}


def load_attached(
    path: Path, model_sha256: str, kind: Architecture[Any, Module]
) -> tuple[Module, str] | None:
    """Loads what was trained on a model's latents, for evaluation only.

    Returns:
        The module and the SHA-256 of its weights; None if `path` is missing or made for other
        weights of the model.

    Raises:
        UserError: the file is damaged or does not match its card.
    """
    if not path.exists():
        return None
    card = read_card(path)
    if card.get("model_sha256") != model_sha256:
        return None  # the checkpoint was trained anew since
    module = load_weights(path, card, kind)
    return module.eval().requires_grad_(False), str(card["sha256"])


class _DamagedError(Exception):
    """Says that a file is not the one that its card was written for."""


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    except _DamagedError as error:
        raise UserError(f"{path} is damaged or not the file its card describes: {error}") from error
    except Exception as error:  # a module that is built of any sizes may raise anything
        reason = describe(error)
        raise UserError(f"{path} does not hold the model its card describes: {reason}") from error


def _described(file: BinaryIO, card: dict[str, Any], kind: Architecture[Config, Any]) -> Config:
    """Returns the configuration that the card gives, if the file's header has its shapes."""
    shapes = _read_shapes(file)
    config = typed(kind.config, card["architecture"], "architecture")
    _check_sizes(asdict(cast(Any, config)), shapes)
    expected = shapes_of(lambda: kind.build(config))
    for name in {**expected, **shapes}:
        if shapes.get(name) != expected.get(name):
            raise ValueError(
                f"{shown(name)} has shape {shown(shapes.get(name))}, not {expected.get(name)}"
            )
    return config


class _Tensor(TypedDict):
    dtype: str
    shape: list[int]


def _read_shapes(file: BinaryIO) -> dict[str, tuple[int, ...]]:
    """Reads the shapes of a safetensors file's tensors, which its size must fit."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(size - 8, _LARGEST_HEADER):
        raise ValueError("it is no safetensors file")
    header = typed(dict[str, object], parse_json(file.read(length)), "the header")
    header.pop("__metadata__", None)
    shapes = {}
    for name, entry in header.items():
        tensor = typed(_Tensor, entry, shown(name))
        if tensor["dtype"] != _TYPE:
            raise ValueError(f"{shown(name)} is {shown(tensor['dtype'])}, not {_TYPE}")
        if len(tensor["shape"]) > _MOST_AXES or not all(0 <= n <= size for n in tensor["shape"]):
            raise ValueError(f"{shown(name)} has shape {shown(tensor['shape'])}")
        shapes[name] = tuple(tensor["shape"])
    expected = 8 + length + _TYPE_BYTES * sum(map(math.prod, shapes.values()))
    if size != expected:
        raise _DamagedError(f"{size} bytes instead of {expected}")
    return shapes


def _check_sizes(architecture: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
    """Raises ValueError for a size that is 0 or more than the tensors can hold."""
    layers, numbers = len(shapes) // _TENSORS_PER_LAYER, sum(map(math.prod, shapes.values()))
    for name, value in architecture.items():
        most = layers if name in _LAYERS else numbers
        if isinstance(value, dict):
            _check_sizes(value, shapes)
        elif type(value) is int and not 1 <= value <= most:
            raise ValueError(
                f"{name} is {shown(value)}, not 1 to the {most} that the file can hold"
            )


def _check_numbers(weights: dict[str, Tensor], normalisation: dict[str, list[float]]) -> None:
    """Raises ValueError for weights or deviations that no trained model has."""
    for name, values in weights.items():
        if not values.isfinite().all():
            raise ValueError(f"{shown(name)} is not finite")
        if name.endswith("_std") and not (values > 0).all():
            raise ValueError(f"{shown(name)} is not positive")
    for name, stated in normalisation.items():
        if name not in weights or weights[name].tolist() != stated:
            raise ValueError(f"the normalisation {shown(name)} is not that of the weights")
