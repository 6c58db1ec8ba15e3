"""The action prior: what the training data did in a state, on the way to a goal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grasp_bench.models.planning_form import PlanningForm, transposed

_SMALLEST, _LARGEST = -4.0, 1.5  # logarithms of a component's deviation, normalised actions
_TIME_SCALE = 16.0  # model steps; brings the time left near one


@dataclass(frozen=True)
class PriorConfig:
    """The architecture of a `MixturePrior`.

    Attributes:
        latent: width of what is read of a latent, `LatentWorldModel.summary`.
        action: A, width of the world model's actions.
        components: K, Gaussians in the mixture.
        width: hidden width of the residual blocks.
        blocks: number of residual blocks.
    """

    latent: int
    action: int
    components: int = 5
    width: int = 256
    blocks: int = 3

    def to_json(self) -> dict[str, Any]:
        """Plain data for the prior's card."""
        return asdict(self)


class PlanningLinear(nn.Linear):
    """A linear layer whose weights, once they need no gradient, are read transposed."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self._planning = PlanningForm(transposed)

    def forward(self, rows: Tensor) -> Tensor:
        """What the layer gives for [..., inputs], [..., outputs]."""
        form = self._planning.of(self)
        if form is None:
            return super().forward(rows)
        flat = torch.addmm(form[0], rows.reshape(-1, self.in_features), form[1])
        return flat.view(*rows.shape[:-1], self.out_features)


class MixturePrior(nn.Module):
    """π(a | s, g, k) = Σ_i w_i N(a; μ_i, diag σ_i²), all functions of (s, g, g - s, k, 1/k).

    A mixture density network (Bishop, 1994). s and g are summaries of latents.
    """  # noqa: RUF002

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        self.components, self.action = config.components, config.action
        self.draws = 1 + config.action
        self.enter = PlanningLinear(3 * config.latent + 2, config.width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(config.width),
                PlanningLinear(config.width, 2 * config.width),
                nn.SiLU(),
                PlanningLinear(2 * config.width, config.width),
            )
            for _ in range(config.blocks)
        )
        self.leave = PlanningLinear(config.width, config.components * (1 + 2 * config.action))

    def forward(
        self, state: Tensor, goal: Tensor, steps_left: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """log w [..., K], μ [..., K, A] and log σ [..., K, A].

        Takes summaries of states and goals, and the model steps between them, [...].
        """  # noqa: RUF002
        time = steps_left[..., None].to(state)
        features = self.enter(
            torch.cat([state, goal, goal - state, time / _TIME_SCALE, 1 / time], dim=-1)
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


class LatentPrior:
    """A `MixturePrior` that takes a world model's latents (`grasp_bench.types.ActionPrior`)."""

    def __init__(self, mixture: MixturePrior, summary: Callable[[Tensor], Tensor]) -> None:
        """`summary` maps latents [..., D] to what the mixture reads."""
        self.mixture, self._summary = mixture, summary
        self.draws = mixture.draws

    def sample(
        self, state: Tensor, goal: Tensor, steps_left: int, draws: Tensor, temperature: float
    ) -> Tensor:
        """Actions [..., A] for states and goals [..., D]."""
        # The state last: the model is about to read it too.
        there, here = self._read(goal), self._read(state)
        return self.mixture.sample(here, there, steps_left, draws, temperature)

    def _read(self, latents: Tensor) -> Tensor:
        leading, strides = latents.shape[:-1], latents.stride()[:-1]
        if all(strides):
            return self._summary(latents)
        # A goal that is spread over a population is read once.
        once = tuple(slice(None) if stride else slice(0, 1) for stride in strides)
        return self._summary(latents[once]).expand(*leading, -1)
