"""The action prior: the actions of the training data in a state, on the way to a goal."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from grasp_bench.models.inference_copy import TransposedLinear
from grasp_bench.models.weights import Architecture, load_attached, save_weights

_SMALLEST, _LARGEST = -4.0, 1.5  # logarithms of a component's deviation, normalised actions
_TIME_SCALE = 16.0  # model steps; brings the time left near one


@dataclass(frozen=True)
class PriorConfig:
    """Holds the architecture of a `MixturePrior`.

    Attributes:
        latent: D, width of the world model's latents.
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


class MixturePrior(nn.Module):
    """Models π(a | s, g, k) = Σ_i w_i N(a; μ_i, diag σ_i²) as a mixture density network.

    w, μ and σ are functions of (s, g, g - s, k, 1/k), where s and g are latents (Bishop,
    "Mixture density networks", 1994).
    """  # noqa: RUF002

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        self.components, self.action = config.components, config.action
        self.draws = 1 + config.action
        self.enter = TransposedLinear(3 * config.latent + 2, config.width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(config.width),
                TransposedLinear(config.width, 2 * config.width),
                nn.SiLU(),
                TransposedLinear(2 * config.width, config.width),
            )
            for _ in range(config.blocks)
        )
        self.leave = TransposedLinear(config.width, config.components * (1 + 2 * config.action))

    def forward(
        self, state: Tensor, goal: Tensor, steps_left: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns log w [..., K], μ [..., K, A] and log σ [..., K, A].

        Args:
            state: [..., D] latents.
            goal: [..., D] latents.
            steps_left: [...] model steps between them.
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
        """Samples actions [..., A]; see `ActionPrior.sample`.

        The first of the draws picks the Gaussian.
        """
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
        """Returns log π(a | s, g, k) [...] of actions [..., A], in nats."""
        weights, means, deviations = self(state, goal, steps_left)
        offsets = (action[..., None, :] - means) / deviations.exp()
        each = -(0.5 * offsets.square() + deviations + 0.5 * math.log(2 * math.pi)).sum(-1)
        return torch.logsumexp(weights + each, dim=-1)


class LatentPrior:
    """Makes a `MixturePrior` an `ActionPrior` whose weights are no part of the world model's."""

    def __init__(self, mixture: MixturePrior) -> None:
        self.mixture, self.draws = mixture, mixture.draws

    def sample(
        self, state: Tensor, goal: Tensor, steps_left: int, draws: Tensor, temperature: float
    ) -> Tensor:
        """Samples actions [..., A] for states and goals [..., D]; see `ActionPrior.sample`."""
        return self.mixture.sample(state, goal, steps_left, draws, temperature)


def prior_path(checkpoint: Path) -> Path:
    """Returns where the prior of a checkpoint lies: in `priors/` beside it."""
    return checkpoint.parent / "priors" / checkpoint.name


def save_prior(prior: MixturePrior, path: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Writes a prior and its card; returns the whole card."""
    architecture = {"architecture": asdict(prior.config)}
    return save_weights(path, prior.state_dict(), architecture | card)


def load_prior(
    checkpoint: Path, model_sha256: str, device: torch.device
) -> tuple[MixturePrior, str] | None:
    """Reads a checkpoint's prior and its SHA-256; None if there is none for these weights.

    Raises:
        UserError: the file is damaged or does not match its card.
    """
    found = load_attached(
        prior_path(checkpoint), model_sha256, Architecture(PriorConfig, MixturePrior)
    )
    return None if found is None else (found[0].to(device), found[1])
