"""Variants of a world model, named behind it, such as `dino-wm@bfloat16`."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from types import MappingProxyType

from torch import nn

from grasp_bench.core.errors import UserError
from grasp_bench.models.dino_wm import DinoWM
from grasp_bench.models.int8_residual import Int8Residual
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.layers import round_to_bfloat16
from grasp_bench.models.lewm import LeWM
from grasp_bench.models.residual import ResidualPredictor

Varied = DinoWM | LeWM | LatentWorldModel


def _compute_in_bfloat16(model: Varied) -> None:
    round_to_bfloat16(_layers(model))


def _choose_in_bfloat16(model: Varied) -> None:
    rough = deepcopy(model)
    round_to_bfloat16(_layers(rough))
    model.rough = rough


def _choose_in_int8(model: Varied) -> None:
    rough = deepcopy(model)
    predictor = getattr(rough, "predictor", None)
    if not isinstance(predictor, ResidualPredictor):
        raise UserError(f"'@int8-samples' is a variant of compact and pose, not of {model.kind}")
    rough.predictor = Int8Residual(predictor)
    model.rough = rough


def _keep_no_activations(model: Varied) -> None:
    _blocks(model, "checkpointing").blocks.checkpointing = True


def _remember_one_frame(model: Varied) -> None:
    _blocks(model, "one-frame").context = 1


def _layers(model: Varied) -> nn.Module:
    return model.predictor if isinstance(model, LatentWorldModel) else model.blocks


def _blocks(model: Varied, variant: str) -> DinoWM | LeWM:
    if isinstance(model, LatentWorldModel):
        raise UserError(f"'@{variant}' is a variant of dino-wm and lewm, not of {model.kind}")
    return model


VARIANTS: MappingProxyType[str, Callable[[Varied], None]] = MappingProxyType(
    {
        "bfloat16": _compute_in_bfloat16,
        "bfloat16-samples": _choose_in_bfloat16,
        "int8-samples": _choose_in_int8,
        "checkpointing": _keep_no_activations,
        "one-frame": _remember_one_frame,
    }
)


def split_variants(name: str) -> tuple[str, list[str]]:
    """Splits a model's name from the variants behind it."""
    base, at, last = name.rpartition("@")
    if not at or last not in VARIANTS:
        return name, []
    base, others = split_variants(base)
    return base, [*others, last]


def apply_variants(model: object, variants: list[str], name: str) -> None:
    """Has a model compute as its variants say.

    Raises:
        UserError: it is of a kind that has none, or not this one.
    """
    if not isinstance(model, Varied):
        raise UserError(f"world model '{name}' is of a kind that has no variants")
    for variant in variants:
        VARIANTS[variant](model)
