"""Certifies that a model computes what it computed when it was imported.

A library underneath may change what weights mean and raise nothing. The card of an imported
model holds some of its activations on a fixed input; every load compares.
"""

from __future__ import annotations

import torch
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import Observation, WorldModel
from grasp_bench.models.latent import PROPRIO_DIM

_NUMBERS, _TOLERANCE = 16, 1e-3  # numbers of each activation, and of their largest, relative


@torch.no_grad()
def activations(model: WorldModel) -> dict[str, list[float]]:
    """Returns numbers out of a latent, a step and a distance that the model computes."""
    size = model.view.size
    ramp = torch.arange(size)
    picture = torch.stack(
        [ramp[:, None] * 3 + ramp, ramp[:, None] + ramp * 5, ramp * ramp[:, None]]
    )
    pixels = (picture % 256).to(torch.uint8).permute(1, 2, 0)[None]
    proprio = torch.linspace(100.0, 300.0, PROPRIO_DIM)[None]
    latent = model.encode(Observation(pixels, proprio))
    action = torch.linspace(-1.0, 1.0, model.action_dim).to(latent)[None]
    following = model.step(latent, action)
    distance = model.distance(following, latent)
    named = {"latent": latent, "step": following, "distance": distance}
    return {name: _some(values) for name, values in named.items()}


def check_certificate(model: WorldModel, certificate: dict[str, list[float]], name: str) -> None:
    """Compares the model's activations with those of its card.

    Raises:
        UserError: they differ by more than rounding explains.
    """
    found = activations(model)
    for part, values in found.items():
        expected = certificate.get(part, [])
        scale = max(map(abs, expected), default=0.0)
        same = len(values) == len(expected) and all(
            abs(a - b) <= _TOLERANCE * scale for a, b in zip(values, expected, strict=True)
        )
        if not same:
            raise UserError(
                f"world model '{name}' does not compute what it computed when it was imported "
                f"({part}): a library underneath has changed, so import it again and compare"
            )


def _some(values: Tensor) -> list[float]:
    flat = values.flatten().double().cpu()
    places = torch.linspace(0, len(flat) - 1, min(_NUMBERS, len(flat))).long()
    return [float(f"{value:.6g}") for value in flat[places].tolist()]
