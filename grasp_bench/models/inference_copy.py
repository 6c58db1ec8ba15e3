"""Copies of weights for inference, made anew when the weights change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

Copy = TypeVar("Copy")


class InferenceCopy(Generic[Copy]):
    """Caches an inference-only copy of a module's weights."""

    def __init__(self, build: Callable[[Any], Copy]) -> None:
        """Takes the function that copies a module."""
        self._build = build
        self._copy: Copy | None = None
        self._parameters: list[nn.Parameter] = []
        self._versions: list[tuple[int, int]] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> InferenceCopy[Copy]:
        """Returns an empty one: a copy of the module has weights of its own."""
        return InferenceCopy(self._build)

    def of(self, module: nn.Module) -> Copy | None:
        """Returns the copy of the module's present weights, None while one needs a gradient."""
        if self._copy is None or self._versions != _versions(self._parameters):
            self._parameters = list(module.parameters())
            self._versions, self._copy = _versions(self._parameters), None
        if any(parameter.requires_grad for parameter in self._parameters):
            self._copy = None
        elif self._copy is None:
            self._copy = self._build(module)
        return self._copy


class TransposedLinear(nn.Linear):
    """Multiplies as a linear layer does, by transposed weights once they need no gradient."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self._inference = InferenceCopy(_transposed)

    def forward(self, rows: Tensor) -> Tensor:
        """Maps [..., inputs] to [..., outputs]."""
        copy = self._inference.of(self)
        if copy is None:
            return super().forward(rows)
        bias, weight = copy
        flat = torch.addmm(bias, rows.reshape(-1, self.in_features), weight)
        return flat.view(*rows.shape[:-1], self.out_features)


def _transposed(layer: Any) -> tuple[Tensor, Tensor]:
    # Returns bias [out] and weights [in, out]: a CPU multiplies many rows faster in this layout.
    return layer.bias.detach(), layer.weight.detach().t().contiguous()


def _versions(parameters: list[nn.Parameter]) -> list[tuple[int, int]]:
    # torch raises a tensor's version with every write to it.
    return [(parameter.data_ptr(), parameter._version) for parameter in parameters]
