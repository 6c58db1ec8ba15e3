"""The least an iteration can take: its model's multiply-adds at the machine's matrix rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from grasp_bench.types import Problem

GEMM_SIZE = 1024


@dataclass(frozen=True)
class ModelWork:
    """Multiply-adds of one transition (s, a).

    Attributes:
        forward: of `WorldModel.step`.
        backward: of the gradient with respect to the action alone.
    """

    forward: float
    backward: float


def model_work(problem: Problem) -> ModelWork:
    """Counted on one call of the model for all transitions of a problem."""
    rows = problem.batch * problem.steps
    with torch.no_grad(), FlopCounterMode(display=False) as forward:
        _forward(problem)
    reached, actions = _forward(problem)
    with FlopCounterMode(display=False) as backward:
        _backward(reached, actions)
    counters = forward, backward
    return ModelWork(*(counter.get_total_flops() / 2 / rows for counter in counters))


def matrix_products(problem: Problem) -> Callable[[], None]:
    """Does the matrix products of one lifted step and nothing else, each as the model does it."""
    with _Recorder() as recorder:
        _backward(*_forward(problem))

    def replay() -> None:
        with torch.no_grad():
            for product, arguments, options in recorder.products:
                product(*arguments, **options)

    return replay


def large_product(like: Tensor) -> Callable[[], None]:
    """Multiplies two square matrices of `GEMM_SIZE`, as fast as the machine can multiply."""
    matrix = torch.ones(GEMM_SIZE, GEMM_SIZE).to(like)
    result = torch.empty_like(matrix)

    def multiply() -> None:
        torch.mm(matrix, matrix, out=result)

    return multiply


def _forward(problem: Problem) -> tuple[Tensor, Tensor]:
    states = problem.start[:, None].expand(-1, problem.steps, *problem.start.shape[1:])
    actions = problem.start.new_zeros(problem.batch, problem.steps, problem.model.action_dim)
    with torch.enable_grad():
        return problem.model.step(states, actions.requires_grad_()), actions


def _backward(reached: Tensor, actions: Tensor) -> None:
    torch.autograd.grad(reached, actions, torch.ones_like(reached))


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the matrix products and convolutions done within it, and their operands."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: list[tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        options = kwargs or {}
        if func._overloadpacket in flop_registry:
            self.products.append((func, args, options))
        return func(*args, **options)
