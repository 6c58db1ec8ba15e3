"""Variants of a world model, named behind it: `dino-wm@bfloat16`, `dino-wm@checkpointing`."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from torch import nn

from grasp_bench.core.errors import UserError
from grasp_bench.models.frame_transformer import Blocks


def _keep_no_activations(blocks: Blocks) -> None:
    blocks.checkpointing = True


VARIANTS: MappingProxyType[str, Callable[[Blocks], None]] = MappingProxyType(
    {"bfloat16": Blocks.compute_in_bfloat16, "checkpointing": _keep_no_activations}
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
        UserError: it has no transformer blocks.
    """
    blocks = getattr(model, "blocks", None)
    if not isinstance(model, nn.Module) or not isinstance(blocks, Blocks):
        raise UserError(
            f"world model '{name}' has no variants: {' and '.join(VARIANTS)} are of dino-wm and "
            "lewm"
        )
    for variant in variants:
        VARIANTS[variant](blocks)
