"""Solves symmetric block-tridiagonal equations, such as those of least squares over a path."""

from __future__ import annotations

import torch
from torch import Tensor


def solve(diagonal: Tensor, lower: Tensor, right: Tensor) -> Tensor:
    """Returns x [B, T, M] of H x = right, by block Cholesky: T factorisations of M x M matrices.

    A problem whose H is not positive definite in this precision gets NaN, the others of
    the batch their solution.

    Args:
        diagonal: [B, T, M, M], H's blocks (t, t), symmetric.
        lower: [B, T - 1, M, M], its blocks (t + 1, t).
        right: [B, T, M].
    """
    factors: list[Tensor] = []
    couplings: list[Tensor] = []
    forward: list[Tensor] = []
    for t, (block, side) in enumerate(zip(diagonal.unbind(1), right.unbind(1), strict=True)):
        remaining, target = block, side[..., None]
        if t:
            coupling = _divide(factors[-1], lower[:, t - 1].mT)
            remaining = remaining - coupling.mT @ coupling
            target = target - coupling.mT @ forward[-1]
            couplings.append(coupling)
        factor, failed = torch.linalg.cholesky_ex(remaining)
        factors.append(torch.where(failed[:, None, None] > 0, torch.nan, factor))
        forward.append(_divide(factors[-1], target))
    solution = [torch.linalg.solve_triangular(factors[-1].mT, forward[-1], upper=True)]
    for factor, coupling, target in zip(
        factors[-2::-1], couplings[::-1], forward[-2::-1], strict=True
    ):
        remainder = target - coupling @ solution[-1]
        solution.append(torch.linalg.solve_triangular(factor.mT, remainder, upper=True))
    return torch.stack(solution[::-1], dim=1)[..., 0]


def _divide(factor: Tensor, right: Tensor) -> Tensor:
    quotient: Tensor = torch.linalg.solve_triangular(factor, right, upper=False)
    return quotient
