"""Variants of a world model, named behind it, such as `dino-wm@bfloat16`."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from grasp_bench.core.errors import UserError
from grasp_bench.models.dino_wm import DinoWM
from grasp_bench.models.lewm import LeWM


def _compute_in_bfloat16(model: DinoWM | LeWM) -> None:
    model.blocks.compute_in_bfloat16()


def _keep_no_activations(model: DinoWM | LeWM) -> None:
    model.blocks.checkpointing = True


def _remember_one_frame(model: DinoWM | LeWM) -> None:
    model.context = 1


VARIANTS: MappingProxyType[str, Callable[[DinoWM | LeWM], None]] = MappingProxyType(
    {
        "bfloat16": _compute_in_bfloat16,
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
        UserError: it is of a kind that has none.
    """
    if not isinstance(model, DinoWM | LeWM):
        raise UserError(
            f"world model '{name}' has no variants: {', '.join(VARIANTS)} are of dino-wm and lewm"
        )
    for variant in variants:
        VARIANTS[variant](model)
