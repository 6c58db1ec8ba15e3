"""Runs a frozen `ResidualPredictor` in a compiled kernel, `residual.c`, on one CPU thread.

Torch calls fifty small operations a step, which costs several times what the arithmetic does
while rows are few. The kernel does a step, or its derivatives, in one call.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from grasp_bench.core.compiler import compiled

_SOURCE = Path(__file__).with_name("residual.c")
_ROWS_TRIED = 100
_TOLERANCES = (1e-4, 1e-4)  # relative and absolute, against torch's, before a kernel is used


class _Network(ctypes.Structure):
    """Tells the kernel the sizes of a network and where its weights lie."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("latent", "action", "width", "blocks")),
        ("epsilon", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("enter", "enter_back", "norms")),
        *((name, ctypes.c_void_p) for name in ("mixing", "biases", "leave", "leave_back")),
    )


class CompiledLayers:
    """Holds the weights of a predictor as the kernel reads them."""

    def __init__(self, library: ctypes.CDLL, predictor: Any) -> None:
        columns = library.columns()
        enter, leave = predictor.enter, predictor.leave[2]
        blocks = [(block[1], block[3]) for block in predictor.blocks]
        norms = [block[0] for block in predictor.blocks] + [predictor.leave[0]]
        mixing = [
            _panels(weight, columns)
            for widen, narrow in blocks
            for weight in (widen.weight, narrow.weight, widen.weight.t(), narrow.weight.t())
        ]
        biases = [enter.bias, *(layer.bias for block in blocks for layer in block)]
        self._weights = [
            _panels(enter.weight, columns),
            _panels(enter.weight.t(), columns),
            torch.cat([part for norm in norms for part in (norm.weight, norm.bias)]),
            torch.cat(mixing) if mixing else enter.weight.new_zeros(1),
            torch.cat([*biases, nn.functional.pad(leave.bias, (0, -len(leave.bias) % columns))]),
            _panels(leave.weight, columns),
            _panels(leave.weight.t(), columns),
        ]
        width, latent = enter.weight.shape[0], leave.weight.shape[0]
        network = _Network(
            latent, enter.weight.shape[1] - latent, width, len(blocks), norms[0].eps,
            *(weights.data_ptr() for weights in self._weights),
        )  # fmt: skip
        self._network, self.address = network, ctypes.addressof(network)
        self._library = library
        self._tape_size = library.tape_size(self.address)

    @classmethod
    def of(cls, predictor: Any) -> CompiledLayers | None:
        """Returns the kernel's form of a predictor, None where the kernel cannot be used."""
        weight = predictor.enter.weight
        if weight.device.type != "cpu" or weight.dtype != torch.float32:
            return None
        library = _library()
        if library is None or len(weight) % library.columns() or len(weight) < weight.shape[1]:
            return None
        latent = len(predictor.leave[2].weight)
        inputs = torch.linspace(-2, 2, _ROWS_TRIED * weight.shape[1]).reshape(_ROWS_TRIED, -1)
        state, action = inputs.tensor_split([latent], dim=-1)
        with torch.no_grad():
            layers = cls(library, predictor)
            following, _ = layers.forward(as_rows(state), as_rows(action), keep=False)
            right = torch.allclose(following, predictor.layered(state, action), *_TOLERANCES)
        return layers if right else None

    def forward(self, state: Tensor, action: Tensor, keep: bool) -> tuple[Tensor, Tensor | None]:
        """Returns F(z, a) [R, D], and what `backward` needs if that is to be kept."""
        rows, following, scratch = len(state), torch.empty_like(state), self._scratch(state)
        tape = state.new_empty(rows * self._tape_size) if keep else None
        self._library.forward(
            self.address, rows, state.data_ptr(), action.data_ptr(), following.data_ptr(),
            None if tape is None else tape.data_ptr(), scratch.data_ptr(),
        )  # fmt: skip
        return following, tape

    def backward(
        self, gradient: Tensor, tape: Tensor, by_state: Tensor | None, by_action: Tensor
    ) -> None:
        """Fills gradients by state [R, D], unless None, and action [R, A] from that by F [R, D]."""
        scratch = self._scratch(gradient)
        self._library.backward(
            self.address, len(gradient), gradient.data_ptr(), tape.data_ptr(),
            None if by_state is None else by_state.data_ptr(), by_action.data_ptr(),
            scratch.data_ptr(),
        )  # fmt: skip

    def _scratch(self, like: Tensor) -> Tensor:
        return like.new_empty(self._library.scratch_size(self.address, len(like)))


def compiled_step(state: Tensor, action: Tensor, layers: CompiledLayers) -> Tensor:
    """Returns F(z, a) [..., D] as one node of the autograd graph."""
    following: Tensor = _Step.apply(state, action, layers)  # type: ignore[no-untyped-call]
    return following


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, state: Tensor, action: Tensor, layers: CompiledLayers) -> Tensor:
        keep = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        following, tape = layers.forward(as_rows(state), as_rows(action), keep)
        ctx.layers, ctx.tape, ctx.shapes = layers, tape, (state.shape, action.shape)
        return following.reshape(state.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:
        state_shape, action_shape = ctx.shapes
        by_state = gradient.new_empty(state_shape) if ctx.needs_input_grad[0] else None
        by_action = gradient.new_empty(action_shape)
        ctx.layers.backward(as_rows(gradient), ctx.tape, by_state, by_action)
        return by_state, by_action, None


def as_rows(x: Tensor) -> Tensor:
    """Returns [..., D] as contiguous rows [R, D]."""
    return x.reshape(-1, x.shape[-1]).contiguous()


def _panels(weight: Tensor, columns: int) -> Tensor:
    """Lays out a matrix [out, in] as [out / columns, in, columns], zeros after the last output."""
    outputs, inputs = weight.shape
    whole = nn.functional.pad(weight, (0, 0, 0, -outputs % columns))
    return whole.reshape(-1, columns, inputs).transpose(1, 2).contiguous().flatten()


def _library() -> ctypes.CDLL | None:
    library = compiled(_SOURCE)
    if library is not None:
        pointer, count = ctypes.c_void_p, ctypes.c_int64
        library.tape_size.argtypes, library.tape_size.restype = [pointer], count
        library.scratch_size.argtypes, library.scratch_size.restype = [pointer, count], count
        library.forward.argtypes = [pointer, count, *[pointer] * 5]
        library.backward.argtypes = [pointer, count, *[pointer] * 5]
    return library
