"""Draws the random numbers of planners."""

from __future__ import annotations

import torch
from torch import Tensor


class NoiseStreams:
    """One independent random stream per problem of a batch.

    A draw gives problem b the next numbers of stream b, whatever B is: a problem sees
    the same noise alone and in a batch. Numbers are drawn on the CPU, so they are also
    the same on every device.
    """

    def __init__(self, generators: list[torch.Generator], copies: int = 1) -> None:
        self._generators, self._copies = generators, copies

    @classmethod
    def from_seeds(cls, seeds: list[int]) -> NoiseStreams:
        """Makes one stream per 64-bit seed."""
        return cls([torch.Generator().manual_seed(seed) for seed in seeds])

    def __len__(self) -> int:
        return len(self._generators) * self._copies

    def repeated(self, copies: int) -> NoiseStreams:
        """Returns the noise of problems that are repeated, `copies` of one beside each other.

        They take turns with the numbers of their problem's stream.
        """
        return NoiseStreams(self._generators, self._copies * copies)

    def normal(self, *shape: int, like: Tensor) -> Tensor:
        """Draws standard normal numbers [B, *shape], on the device and in the type of `like`."""
        shape = (self._copies, *shape)
        draws = [torch.randn(shape, generator=g, dtype=torch.float32) for g in self._generators]
        return torch.cat(draws).to(like)
