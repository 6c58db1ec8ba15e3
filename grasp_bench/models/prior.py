"""The action prior: what the training data did in a state, on the way to a goal."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grasp_bench.models.jepa import PoolingHead
from grasp_bench.models.latent import PROPRIO_DIM

_SMALLEST, _LARGEST = -4.0, 1.5  # logarithms of a component's deviation, normalised actions
_TIME_SCALE = 16.0  # model steps; brings the time left near one


@dataclass(frozen=True)
class PriorConfig:
    """The architecture of a `MixturePrior`.

    Attributes:
        latent: D, width of the world model's latent.
        action: A, width of its actions.
        tokens: (cells along a side, channels) where the latent holds visual tokens.
        components: K, Gaussians in the mixture.
        width: hidden width of the residual blocks.
        blocks: number of residual blocks.
        votes, head_width, features: of the head that reads tokens.
    """

    latent: int
    action: int
    tokens: tuple[int, int] | None = None
    components: int = 5
    width: int = 256
    blocks: int = 3
    votes: int = 8
    head_width: int = 128
    features: int = 16

    def to_json(self) -> dict[str, Any]:
        """Plain data for the prior's card."""
        return asdict(self)


class MixturePrior(nn.Module):
    """π(a | s, g, k) = Σ_i w_i N(a; μ_i, diag σ_i²), all functions of (s, g, g - s, k, 1/k).

    A mixture density network (Bishop, 1994). Visual tokens are first read by a
    `PoolingHead`, whose points say where things are.
    """  # noqa: RUF002

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        self.components, self.action = config.components, config.action
        self.draws = 1 + config.action
        read = config.latent
        self.head: PoolingHead | None = None
        if config.tokens is not None:
            cells, channels = config.tokens
            self.head = PoolingHead(
                channels, cells, config.votes, config.head_width, config.features
            )
            read = config.features + PROPRIO_DIM
        self.enter = nn.Linear(3 * read + 2, config.width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(config.width),
                nn.Linear(config.width, 2 * config.width),
                nn.SiLU(),
                nn.Linear(2 * config.width, config.width),
            )
            for _ in range(config.blocks)
        )
        self.leave = nn.Linear(config.width, config.components * (1 + 2 * config.action))

    def forward(
        self, state: Tensor, goal: Tensor, steps_left: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """log w [..., K], μ [..., K, A] and log σ [..., K, A].

        Takes states and goals [..., D], and the model steps between them, [...].
        """  # noqa: RUF002
        here, there = self._read(state), self._read(goal)
        time = steps_left[..., None].to(here)
        features = self.enter(
            torch.cat([here, there, there - here, time / _TIME_SCALE, 1 / time], dim=-1)
        )
        for block in self.blocks:
            features = features + block(features)
        weights, others = self.leave(features).tensor_split([self.components], dim=-1)
        means, deviations = others.unflatten(-1, (2, self.components, self.action)).unbind(-3)
        return weights.log_softmax(-1), means, deviations.clamp(_SMALLEST, _LARGEST)

    def sample(
        self, state: Tensor, goal: Tensor, steps_left: int, draws: Tensor, temperature: float
    ) -> Tensor:
        """Actions as `grasp_bench.types.ActionPrior` says; the first draw picks the Gaussian."""
        left = torch.full(state.shape[:-1], float(steps_left), device=state.device)
        weights, means, deviations = self(state, goal, left)
        share = torch.special.ndtr(draws[..., :1])
        chosen = (share > weights.exp().cumsum(-1)[..., :-1]).sum(-1, keepdim=True)
        index = chosen[..., None].expand(*chosen.shape, self.action)
        mean = means.take_along_dim(index, dim=-2).squeeze(-2)
        deviation = deviations.take_along_dim(index, dim=-2).squeeze(-2).exp()
        actions: Tensor = mean + temperature * deviation * draws[..., 1:]
        return actions

    def log_likelihood(
        self, state: Tensor, goal: Tensor, steps_left: Tensor, action: Tensor
    ) -> Tensor:
        """log π(a | s, g, k) [...] of actions [..., A], in nats."""
        weights, means, deviations = self(state, goal, steps_left)
        offsets = (action[..., None, :] - means) / deviations.exp()
        each = -(0.5 * offsets.square() + deviations + 0.5 * math.log(2 * math.pi)).sum(-1)
        return torch.logsumexp(weights + each, dim=-1)

    def _read(self, latent: Tensor) -> Tensor:
        if self.head is None:
            return latent
        visual, proprio = latent[..., :-PROPRIO_DIM], latent[..., -PROPRIO_DIM:]
        assert self.config.tokens is not None
        tokens = visual.reshape(*visual.shape[:-1], -1, self.config.tokens[1])
        return torch.cat([self.head(tokens), proprio], dim=-1)
