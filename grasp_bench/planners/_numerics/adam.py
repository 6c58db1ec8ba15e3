"""Runs Adam (Kingma and Ba, arXiv 1412.6980) on one tensor.

Plans are small, so most of a step of `torch.optim.Adam` is bookkeeping; its fused form also
misreads gradients whose memory layout differs from the variable's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

DECAY_MEAN, DECAY_SQUARE, EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Changes `variable` in place, with the decay rates and ε that the paper suggests."""

    def __init__(self, variable: Tensor, lr: float) -> None:
        self.variable = variable
        self._lr = lr
        self._mean = torch.zeros_like(variable)
        self._square = torch.zeros_like(variable)
        self._steps = 0

    def reset(self) -> None:
        """Forgets all gradients seen so far."""
        self._mean.zero_()
        self._square.zero_()
        self._steps = 0

    def keep(self, places: Tensor) -> None:
        """Goes on with the plans at places [B, n] of a variable [B, N, T, A]."""
        problems = torch.arange(len(places), device=places.device)[:, None]
        self.variable = self.variable[problems, places]
        self._mean, self._square = self._mean[problems, places], self._square[problems, places]

    def step(self, gradient: Tensor, share: float = 1.0) -> None:
        """Takes one step of a share of `lr` along a gradient of `variable`'s shape."""
        self._steps += 1
        self._mean.lerp_(gradient, 1 - DECAY_MEAN)
        self._square.mul_(DECAY_SQUARE).addcmul_(gradient, gradient, value=1 - DECAY_SQUARE)
        scale = math.sqrt(1 - DECAY_SQUARE**self._steps)
        rate = share * self._lr / (1 - DECAY_MEAN**self._steps)
        divisor = self._square.sqrt().div_(scale).add_(EPSILON)
        self.variable.addcdiv_(self._mean, divisor, value=-rate)
