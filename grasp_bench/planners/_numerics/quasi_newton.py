"""Keeps the curvature of many functions at once, for limited-memory BFGS."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

_LEAST_CURVATURE = 1e-8  # of a pair that is kept, as the cosine between step and change


class Curvature:
    """Approximates inverse Hessians H of R functions of n variables from their last steps.

    Nocedal and Wright, "Numerical Optimization", Algorithm 7.4. A step along which a function
    is not convex is left out for that function alone.
    """

    def __init__(self, memory: int) -> None:
        """Takes how many steps are remembered."""
        self._pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=memory)

    def remember(self, step: Tensor, change: Tensor) -> None:
        """Takes a step [R, n] and by how much it changed the gradients [R, n]."""
        product = (step * change).sum(-1, keepdim=True)
        lengths = step.norm(dim=-1, keepdim=True) * change.norm(dim=-1, keepdim=True)
        convex = product > _LEAST_CURVATURE * lengths
        inverse = torch.where(convex, 1 / product, 0.0)
        self._pairs.append((torch.where(convex, step, 0.0), change, inverse))

    def forget(self, which: Tensor) -> None:
        """Forgets all steps of some functions, [R] true or false."""
        for step, _, inverse in self._pairs:
            step[which] = 0.0
            inverse[which] = 0.0

    def descent(self, gradient: Tensor, first: float) -> Tensor:
        """Returns -H g [R, n] of gradients [R, n]; of length `first` where nothing is known."""
        direction, factors = gradient.clone(), []
        for step, change, inverse in reversed(self._pairs):
            factor = inverse * (step * direction).sum(-1, keepdim=True)
            direction -= factor * change
            factors.append(factor)
        scale = first / gradient.norm(dim=-1, keepdim=True).clamp(min=1e-20)
        for _, change, inverse in self._pairs:  # the last known curvature counts
            curvature = 1 / (inverse * change.square().sum(-1, keepdim=True))
            scale = torch.where(inverse > 0, curvature, scale)
        direction *= scale
        for (step, change, inverse), factor in zip(self._pairs, reversed(factors), strict=True):
            other = inverse * (change * direction).sum(-1, keepdim=True)
            direction += (factor - other) * step
        return -direction
