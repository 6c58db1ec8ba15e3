"""The residual predictor, and its fast form for frozen weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from grasp_bench.models.compiled_residual import CompiledLayers, compiled_step
from grasp_bench.models.inference_copy import InferenceCopy
from grasp_bench.models.layers import Linear

# From this many rows on, a product with transposed weights is faster and rounds alike.
WIDE_ROWS = 16


class ResidualPredictor(nn.Module):
    """Predicts F(z, a) = z + MLP(z, a) for latents [..., D] and actions [..., A].

    Once its parameters need no gradient, a step is one node of the autograd graph with the
    same results, compiled where that can be. It gives gradients of state and action, and no
    second derivatives. With linear layers rounded to bfloat16, it computes layer by layer.
    """

    def __init__(self, latent: int, action: int, width: int, blocks: int) -> None:
        super().__init__()
        self.enter = Linear(latent + action, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), Linear(width, width), nn.SiLU(), Linear(width, width)
            )
            for _ in range(blocks)
        )
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), Linear(width, latent))
        final = self.leave[-1]
        assert isinstance(final, nn.Linear)
        nn.init.zeros_(final.weight)
        nn.init.zeros_(final.bias)
        self._inference = InferenceCopy(_FrozenLayers.of)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Returns the next latents [..., D]."""
        rounded = self.enter.weight.dtype == torch.bfloat16
        frozen = None if rounded else self._inference.of(self)
        if frozen is None:
            return self.layered(state, action)
        if frozen.compiled is not None and torch.get_num_threads() == 1:
            return compiled_step(state, action, frozen.compiled)
        following: Tensor = _FrozenStep.apply(state, action, frozen)  # type: ignore[no-untyped-call]
        return following

    def layered(self, state: Tensor, action: Tensor) -> Tensor:
        """Returns the next latents [..., D], layer by layer."""
        hidden = self.enter(torch.cat([state, action], dim=-1)).to(state.dtype)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        change: Tensor = self.leave(hidden)
        return state + change


class _Linear:
    """Holds the weights of a linear layer, [out, in], and their contiguous transpose."""

    def __init__(self, layer: nn.Linear) -> None:
        self.weight, self.bias = layer.weight.detach(), layer.bias.detach()
        self._transposed = self.weight.t().contiguous()

    def __call__(self, rows: Tensor) -> Tensor:
        if len(rows) < WIDE_ROWS:
            return nn.functional.linear(rows, self.weight, self.bias)
        return torch.addmm(self.bias, rows, self._transposed)


class _LayerNorm:
    """Computes a layer norm and its derivative with respect to the input."""

    def __init__(self, layer: nn.LayerNorm) -> None:
        self._shape, self._eps = list(layer.normalized_shape), layer.eps
        self._weight, self._bias = layer.weight.detach(), layer.bias.detach()

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the norm, and the mean and inverse deviation that `backward` takes."""
        normed: tuple[Tensor, Tensor, Tensor] = torch.native_layer_norm(
            rows, self._shape, self._weight, self._bias, self._eps
        )
        return normed

    def backward(self, gradient: Tensor, rows: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
        by_rows: Tensor = torch.ops.aten.native_layer_norm_backward(
            gradient, rows, self._shape, mean, inverse, self._weight, self._bias,
            [True, False, False],
        )[0]  # fmt: skip
        return by_rows


@dataclass(frozen=True)
class _FrozenLayers:
    """Holds a predictor's layers, their weights laid out for products of many rows.

    Attributes:
        compiled: the same for one CPU thread, None where it cannot be compiled.
    """

    enter: _Linear
    enter_action: Tensor  # the columns of `enter.weight` that take the action
    blocks: list[tuple[_LayerNorm, _Linear, _Linear]]
    last_norm: _LayerNorm
    leave: _Linear
    compiled: CompiledLayers | None

    @classmethod
    def of(cls, predictor: ResidualPredictor) -> _FrozenLayers:
        layers: list[Any] = [*predictor.blocks, predictor.leave]
        *blocks, leave = layers
        last, enter = _Linear(leave[2]), _Linear(predictor.enter)
        return cls(
            enter=enter,
            enter_action=enter.weight[:, len(last.weight) :].contiguous(),
            blocks=[(_LayerNorm(b[0]), _Linear(b[1]), _Linear(b[3])) for b in blocks],
            last_norm=_LayerNorm(leave[0]),
            leave=last,
            compiled=CompiledLayers.of(predictor),
        )


class _FrozenStep(torch.autograd.Function):
    """Computes a predictor's step and its derivatives with respect to state and action."""

    @staticmethod
    def forward(ctx: Any, state: Tensor, action: Tensor, frozen: _FrozenLayers) -> Tensor:
        inputs = torch.cat([state, action], dim=-1)
        hidden = frozen.enter(inputs.reshape(-1, inputs.shape[-1]))
        tape = []
        for norm, widen, narrow in frozen.blocks:
            normed, mean, inverse = norm(hidden)
            middle = widen(normed)
            tape.append((hidden, mean, inverse, middle))
            hidden = narrow(nn.functional.silu(middle)).add_(hidden)
        normed, mean, inverse = frozen.last_norm(hidden)
        tape.append((hidden, mean, inverse, normed))
        change = frozen.leave(nn.functional.silu(normed))
        ctx.frozen, ctx.tape, ctx.shapes = frozen, tape, (state.shape, action.shape)
        return state + change.reshape(state.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        frozen, (state_shape, action_shape) = ctx.frozen, ctx.shapes
        *tape, (hidden, mean, inverse, normed) = ctx.tape
        silu_backward = torch.ops.aten.silu_backward
        by_change = gradient.reshape(-1, gradient.shape[-1])
        by_normed = silu_backward(by_change @ frozen.leave.weight, normed)
        by_hidden = frozen.last_norm.backward(by_normed, hidden, mean, inverse)
        for (norm, widen, narrow), (hidden, mean, inverse, middle) in zip(
            reversed(frozen.blocks), reversed(tape), strict=True
        ):
            by_middle = silu_backward(by_hidden @ narrow.weight, middle)
            by_block = norm.backward(by_middle @ widen.weight, hidden, mean, inverse)
            by_hidden = by_block.add_(by_hidden)
        if not ctx.needs_input_grad[0] and len(by_hidden) >= WIDE_ROWS:
            return None, (by_hidden @ frozen.enter_action).reshape(action_shape), None
        by_inputs = by_hidden @ frozen.enter.weight
        by_state, by_action = by_inputs.split([state_shape[-1], action_shape[-1]], dim=-1)
        whole = gradient + by_state.reshape(state_shape) if ctx.needs_input_grad[0] else None
        return whole, by_action.reshape(action_shape), None
