"""The residual predictor with the products inside its blocks in integers of 8 bits.

Processors that multiply bytes (VNNI) do so several times as fast as float32. Planners that choose
among many plans may cost them so.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from grasp_bench.core.compiler import compiled
from grasp_bench.models.compiled_residual import CompiledLayers, as_rows
from grasp_bench.models.inference_copy import InferenceCopy
from grasp_bench.models.residual import ResidualPredictor

_SOURCE = Path(__file__).with_name("residual_int8.c")
_LARGEST = 127.0


class Int8Linear(nn.Module):
    """Computes x W + b from integers of 8 bits, with exact sums.

    A row of x is rounded to multiples of max|x| / 127, and so is each column of W once.
    """

    weight: Tensor
    unit: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        """Rounds the weights [out, in] of a layer."""
        super().__init__()
        weight = layer.weight.detach()
        factor, unit = _scales(weight)
        self.register_buffer("weight", (weight * factor).round())
        self.register_buffer("unit", unit[:, 0])
        self.register_buffer("bias", layer.bias.detach())

    def forward(self, rows: Tensor) -> Tensor:
        """Maps rows [..., I] to [..., O]."""
        factor, unit = _scales(rows)
        # Products of whole numbers below 2^24 are exact in float32 too.
        sums = nn.functional.linear((rows * factor).round(), self.weight)
        return sums * (self.unit * unit) + self.bias


class Int8Residual(nn.Module):
    """Predicts F(z, a) as a `ResidualPredictor` does, its blocks in integers of 8 bits.

    The first and the last layer, norms and shortcuts stay in float32. It gives no gradients.
    """

    def __init__(self, predictor: ResidualPredictor) -> None:
        """Takes a predictor whose weights will not change."""
        super().__init__()
        self.predictor = predictor
        blocks: list[Any] = list(predictor.blocks)
        self.blocks = nn.ModuleList(
            nn.Sequential(block[0], Int8Linear(block[1]), block[2], Int8Linear(block[3]))
            for block in blocks
        )
        self._inference = InferenceCopy(Int8Kernel.of)

    @torch.no_grad()
    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Returns the next latents [..., D]."""
        kernel = self._inference.of(self)
        if kernel is not None and torch.get_num_threads() == 1:
            return kernel.step(state, action)
        return self.layered(state, action)

    def layered(self, state: Tensor, action: Tensor) -> Tensor:
        """Returns the next latents [..., D], layer by layer."""
        hidden = self.predictor.enter(torch.cat([state, action], dim=-1))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        change: Tensor = self.predictor.leave(hidden)
        return state + change


class _Rounded(ctypes.Structure):
    """Tells the kernel where the rounded weights lie."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("mixing", "units", "offsets"))


class Int8Kernel:
    """Holds the rounded weights as the kernel reads them."""

    def __init__(self, library: ctypes.CDLL, exact: CompiledLayers, blocks: Any) -> None:
        columns = library.columns()
        layers = [layer for block in blocks for layer in (block[1], block[3])]
        self._weights = [
            torch.cat([_byte_panels(layer.weight, columns) for layer in layers]),
            torch.cat([layer.unit for layer in layers]),
            torch.cat([128 * layer.weight.sum(1).to(torch.int32) for layer in layers]),
        ]
        self._rounded = _Rounded(*(weights.data_ptr() for weights in self._weights))
        self._library, self._exact = library, exact

    @classmethod
    def of(cls, residual: Int8Residual) -> Int8Kernel | None:
        """Returns the kernel's form of a predictor, None where the kernel cannot be used."""
        exact = CompiledLayers.of(residual.predictor)
        library = None if exact is None else _library()
        if exact is None or library is None or not len(residual.blocks):
            return None
        return cls(library, exact, residual.blocks)

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        """Returns F(z, a) [..., D]."""
        z, a = as_rows(state), as_rows(action)
        following, at = torch.empty_like(z), self._exact.address
        scratch = z.new_empty(self._library.rounded_scratch_size(at, len(z)))
        self._library.rounded_forward(
            at, ctypes.addressof(self._rounded), len(z), z.data_ptr(), a.data_ptr(),
            following.data_ptr(), scratch.data_ptr(),
        )  # fmt: skip
        return following.reshape(state.shape)


def _scales(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Returns what rounds rows [..., I] to whole numbers, and what one is worth, [..., 1]."""
    largest = rows.abs().amax(-1, keepdim=True)
    return torch.where(largest > 0, _LARGEST / largest, 0.0), largest / _LARGEST


def _byte_panels(weight: Tensor, columns: int) -> Tensor:
    """Lays out whole numbers [out, in] as bytes [out / columns, in / 4, columns, 4]."""
    outputs, inputs = weight.shape
    panels = weight.to(torch.int8).reshape(outputs // columns, columns, inputs // 4, 4)
    return panels.transpose(1, 2).contiguous().flatten()


def _library() -> ctypes.CDLL | None:
    library = compiled(_SOURCE)
    if library is None or not hasattr(library, "rounded_forward"):  # a processor without VNNI
        return None
    pointer, count = ctypes.c_void_p, ctypes.c_int64
    size = library.rounded_scratch_size
    size.argtypes, size.restype = [pointer, count], count
    library.rounded_forward.argtypes = [pointer, pointer, count, *[pointer] * 4]
    return library
