"""Stores weights as safetensors with a JSON card beside them that names their SHA-256.

A truncated, exchanged or edited file is refused. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from grasp_bench.core.errors import UserError
from grasp_bench.core.files import write_atomically

CARD_VERSION = 1

Module = TypeVar("Module", bound=nn.Module)


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


def load_weights(
    path: Path, card: dict[str, Any], build: Callable[[dict[str, Any]], Module]
) -> Module:
    """Builds the module that the card describes and loads the weights at `path` into it.

    Raises:
        UserError: the file cannot be read, is damaged or does not match its card.
    """
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
        module = build(card)
        module.load_state_dict(load_tensors(data))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} does not hold the model its card describes: {reason}") from error
    return module


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Writes the card of the weights at `path`."""
    write_atomically(path.with_suffix(".json"), (json.dumps(card, indent=1) + "\n").encode())


def read_card(path: Path) -> dict[str, Any]:
    """Reads the card of the weights at `path`.

    Raises:
        UserError: the card is missing, no JSON, or of another version.
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
