"""Action priors on disk: in `priors/` beside the checkpoint they were trained for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from grasp_bench.models.card import load_weights, read_card, save_weights
from grasp_bench.models.prior import MixturePrior, PriorConfig

FOLDER = "priors"


def prior_path(checkpoint: Path) -> Path:
    """Where the prior of the checkpoint at that path belongs."""
    return checkpoint.parent / FOLDER / checkpoint.name


def save_prior(prior: MixturePrior, path: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Write a prior and its card; returns the whole card."""
    architecture = {"architecture": prior.config.to_json()}
    return save_weights(path, prior.state_dict(), architecture | card)


def load_prior(
    checkpoint: Path, model_sha256: str, device: torch.device
) -> tuple[MixturePrior, str] | None:
    """The prior of a checkpoint and its SHA-256, or None if it has none for these weights.

    Raises:
        UserError: a file that is damaged or does not match its card.
    """
    path = prior_path(checkpoint)
    if not path.exists():
        return None
    card = read_card(path)
    if card.get("model_sha256") != model_sha256:
        return None  # the checkpoint was trained anew since
    prior = load_weights(path, card, lambda card: MixturePrior(PriorConfig(**card["architecture"])))
    prior.to(device).eval().requires_grad_(False)
    return prior, str(card["sha256"])
