"""Fills a model with tensors of another project's file: all are used, and all places are filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from grasp_bench.core.errors import UserError, describe, one_line
from grasp_bench.core.json_files import shown
from grasp_bench.models.weights import shapes_of

Module = TypeVar("Module", bound=nn.Module)

_MOST_LAYERS = 200


def count_layers(weights: Mapping[str, Tensor], prefix: str) -> int:
    """Counts the blocks whose tensors are called `prefix` and a number.

    Raises:
        ValueError: they are more than any model has.
    """
    found = {n.removeprefix(prefix).split(".")[0] for n in weights if n.startswith(prefix)}
    if len(found) > _MOST_LAYERS:
        raise ValueError(f"{len(found)} blocks are too many")
    return len(found)


def said(error: Exception) -> str:
    """Says why a file has not the layout that was read."""
    if isinstance(error, KeyError):
        return f"{shown(error.args[0] if error.args else '')} is missing"
    return one_line(str(error), 300) if isinstance(error, ValueError) else describe(error)


def filled(
    build: Callable[[], Module],
    weights: Mapping[str, Tensor],
    file: Path,
    is_elsewhere: Callable[[str], bool],
) -> Module:
    """Builds a model and loads the weights.

    Names and shapes are compared on a device without memory, so that what is allocated is what
    the file holds.

    Args:
        build: makes the model.
        weights: by our names.
        file: where they are from, for errors.
        is_elsewhere: tells the names of what other sources fill.

    Raises:
        UserError: the model cannot be built, or a tensor is missing, left over, of another shape
            or not finite.
    """
    for name, tensor in weights.items():
        if tensor.numel() == 0:
            raise UserError(f"'{file}': {shown(name)} has shape {shown(list(tensor.shape))}")
    try:
        shapes = shapes_of(build)
    except UserError:
        raise
    except Exception as error:  # of any sizes
        raise UserError(f"'{file}' holds no model that can be built: {describe(error)}") from error
    own = {name: shape for name, shape in shapes.items() if not is_elsewhere(name)}
    for name in sorted(own.keys() ^ weights.keys()):
        what = "is missing" if name in own else "has no place in the model"
        raise UserError(f"'{file}': {shown(name)} {what}")
    for name, tensor in weights.items():
        if tuple(tensor.shape) != own[name]:
            raise UserError(
                f"'{file}': {shown(name)} has shape {shown(list(tensor.shape))}, "
                f"not {list(own[name])}"
            )
        if not bool(tensor.isfinite().all()):
            raise UserError(f"'{file}': {shown(name)} is not finite")
    model = build()
    model.load_state_dict(weights, strict=False)
    return model
