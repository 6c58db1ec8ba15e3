"""Weights laid out for planning, where they no longer change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

Form = TypeVar("Form")


class PlanningForm(Generic[Form]):
    """What is made of a module's weights once none needs a gradient, and anew when they change."""

    def __init__(self, build: Callable[[Any], Form]) -> None:
        """`build` makes the form of a module."""
        self._build = build
        self._form: Form | None = None
        self._parameters: list[nn.Parameter] = []
        self._versions: list[tuple[int, int]] = []

    def of(self, module: nn.Module) -> Form | None:
        """The form of the module's present weights; None while one of them needs a gradient."""
        if self._form is None or self._versions != _versions(self._parameters):
            self._parameters = list(module.parameters())
            self._versions, self._form = _versions(self._parameters), None
        if any(parameter.requires_grad for parameter in self._parameters):
            self._form = None
        elif self._form is None:
            self._form = self._build(module)
        return self._form


def transposed(layer: Any) -> tuple[Tensor, Tensor]:
    """Bias and weights [in, out] of a linear layer or a convolution of single cells.

    On a CPU the faster layout for the rows of a population.
    """
    weight, bias = layer.weight.detach(), layer.bias.detach()
    return bias, weight.flatten(1).t().contiguous()


def _versions(parameters: list[nn.Parameter]) -> list[tuple[int, int]]:
    # Counted up whenever somebody writes to a tensor.
    return [(parameter.data_ptr(), parameter._version) for parameter in parameters]
