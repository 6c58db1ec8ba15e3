"""Reads and writes the JSON card beside weights, which names their SHA-256."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict

from grasp_bench.core.errors import UserError
from grasp_bench.core.files import write_atomically
from grasp_bench.core.json_files import read_json, typed

CARD_VERSION = 1


class _Required(TypedDict):
    architecture: dict[str, object]
    sha256: str


class _Card(_Required, total=False):
    kind: str
    model_sha256: str
    normalisation: dict[str, list[float]]
    held_out: dict[str, object]
    certificate: dict[str, list[float]]


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Writes the card of the weights at `path`."""
    write_atomically(path.with_suffix(".json"), (json.dumps(card, indent=1) + "\n").encode())


def read_card(path: Path) -> dict[str, Any]:
    """Reads the card of the weights at `path`; what is read of it has the right type.

    Raises:
        UserError: the card is missing, no JSON, of another version, or malformed.
    """
    card_path = path.with_suffix(".json")
    try:
        card, _ = read_json(card_path)
    except FileNotFoundError as error:
        raise UserError(f"{path} has no card: {card_path} is missing") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{card_path} cannot be read as a card: {error}") from error
    if not isinstance(card, dict) or card.get("card_version") != CARD_VERSION:
        raise UserError(f"{card_path} is not a card of version {CARD_VERSION}")
    try:
        typed(_Card, card, "card")
    except ValueError as error:
        raise UserError(f"{card_path} cannot be read as a card: {error}") from error
    return card
