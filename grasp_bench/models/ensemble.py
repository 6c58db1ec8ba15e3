"""Several predictors of one world model, whose disagreement says where not to trust it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EnsemblePredictor(nn.Module):
    """F(z, a), the mean of K predictors' answers on [..., D] and [..., A]."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self._chosen: nn.Module | None = None

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """The next latent [..., D]."""
        if self._chosen is not None:
            following: Tensor = self._chosen(state, action)
            return following
        return self.answers(state, action).mean(0)

    def answers(self, state: Tensor, action: Tensor) -> Tensor:
        """The members' next latents [K, ..., D]."""
        return torch.stack([member(state, action) for member in self.members])

    @contextmanager
    def alone(self, member: int) -> Iterator[nn.Module]:
        """That member, which answers for all of them meanwhile, as when it is trained."""
        # Kept out of the modules, where it would be saved as a member once more.
        chosen = self.members[member]
        object.__setattr__(self, "_chosen", chosen)
        try:
            yield chosen
        finally:
            object.__setattr__(self, "_chosen", None)


def ensemble_of(size: int, build: Callable[[], nn.Module]) -> nn.Module:
    """An ensemble of that many predictors, or a single one by itself."""
    return build() if size == 1 else EnsemblePredictor([build() for _ in range(size)])
