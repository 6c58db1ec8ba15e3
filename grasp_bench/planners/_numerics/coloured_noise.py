"""Draws Gaussian noise that is correlated over a plan's steps."""

from __future__ import annotations

import torch
from torch import Tensor

from grasp_bench.core.noise import NoiseStreams


def coloured_noise(noise: NoiseStreams, exponent: float, *shape: int, like: Tensor) -> Tensor:
    """Draws normal numbers [B, N, T, A] whose power spectral density over T is ∝ 1/f^exponent.

    The method is Timmer and König's (1995).
    `shape` is N, T, A. Every number is standard normal by itself; an exponent of 0 makes the
    steps independent. Below the lowest frequency, 1/T, the density is that of 1/T.
    """
    count, steps, width = shape
    frequencies = torch.fft.rfftfreq(steps).to(like).clamp(min=1 / steps)
    amplitude = frequencies ** (-exponent / 2)
    real, imaginary = noise.normal(2, count, width, len(amplitude), like=like).unbind(dim=1)
    # The mean and, for an even T, the fastest frequency are real: they have no second part.
    alone = torch.zeros(len(amplitude), dtype=torch.bool, device=like.device)
    alone[0] = True
    alone[-1] |= steps % 2 == 0
    real = torch.where(alone, 2**0.5 * real, real)
    imaginary = torch.where(alone, 0.0, imaginary)
    draws = torch.fft.irfft(torch.complex(real, imaginary) * amplitude, n=steps)
    variance = (amplitude.square() * torch.where(alone, 2.0, 4.0)).sum() / steps**2
    plans: Tensor = draws / variance.sqrt()
    return plans.transpose(-1, -2)


def autoregressive_noise(
    noise: NoiseStreams, correlation: float, count: int, steps: int, width: int, like: Tensor
) -> Tensor:
    """Draws normal numbers [B, count, steps, width], each correlated with that of a step before.

    ε_0 ~ N(0, 1),   ε_h = ρ ε_{h-1} + √(1 - ρ²) ξ_h,   ξ_h ~ N(0, 1)
    """  # noqa: RUF002
    lag = torch.arange(steps, device=like.device)
    lag = lag[:, None] - lag
    mixing = torch.where(lag >= 0, like.new_tensor(correlation) ** lag.clamp(min=0), 0.0)
    mixing[:, 1:] *= (1 - correlation**2) ** 0.5
    plans: Tensor = mixing.to(like) @ noise.normal(count, steps, width, like=like)
    return plans
