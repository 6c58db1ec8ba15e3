"""Probes: maps from latents to the simulator's state, fitted on training frames.

A latent that holds nothing of the block's angle cannot hide that here, however small the
model's loss is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from envs.goal import wrapped_angle_error
from envs.pusht import FloatArray
from grasp_bench.evaluation.encoding import encode_states, sample_states
from grasp_bench.evaluation.settings import ProbeSettings
from grasp_bench.models.jepa import PoolingHead
from grasp_bench.training.data import Demonstrations
from grasp_bench.types import WorldModel

Quantity = Literal["agent_px", "block_px", "angle_deg"]
TARGETS = 6
_UNIT = 100.0  # px; cos and sin of the angle weigh like as many
_READ_BATCH = 1_000
_WARMUP = 0.05  # of the steps


@runtime_checkable
class HasTokens(Protocol):
    """A world model whose latents hold a grid of tokens."""

    def tokens(self, state: Tensor) -> Tensor:
        """Tokens [..., N, C] of latents [..., *Z], row by row."""
        ...


class Probe:
    """A fitted map from inputs [N, ...] to agent x, y, block x, y (px) and angle (rad)."""

    def __init__(self, network: nn.Module, view: Callable[[Tensor], Tensor]) -> None:
        """`view` makes latents [N, *Z] the network's inputs; targets are in `_targets`' units."""
        self._network, self._view = network, view

    @torch.no_grad()
    def read(self, latents: Tensor) -> FloatArray:
        """States [N, 5] of latents [N, *Z]: agent x, y, block x, y (px), block angle (rad)."""
        parts = [
            self._network(self._view(part.cpu())) for part in torch.split(latents, _READ_BATCH)
        ]
        values = torch.cat(parts).double().numpy()
        angle = np.arctan2(values[:, 5], values[:, 4])
        return np.concatenate([_UNIT * values[:, :4], angle[:, None]], axis=1)


class Reader:
    """Reads agent, block and angle, each by its own probe."""

    def __init__(self, probes: dict[Quantity, Probe]) -> None:
        self._probes = probes

    def read(self, latents: Tensor) -> FloatArray:
        """States [N, 5] of latents [N, *Z], as a probe gives them."""
        agent, block, angle = (
            self._probes[name].read(latents) for name in ("agent_px", "block_px", "angle_deg")
        )
        return np.concatenate([agent[:, :2], block[:, 2:4], angle[:, 4:]], axis=1)


class Standardised(nn.Module):
    """A network on standardised inputs, whose outputs begin around the targets' mean."""

    mean: Tensor
    std: Tensor
    centre: Tensor

    def __init__(self, inputs: Tensor, targets: Tensor, network: nn.Module) -> None:
        super().__init__()
        rows = inputs.reshape(-1, inputs.shape[-1])
        self.register_buffer("mean", rows.mean(0))
        self.register_buffer("std", rows.std(0) + 1e-6)
        self.register_buffer("centre", targets.mean(0))
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """The network's outputs for raw inputs."""
        output: Tensor = self.centre + self.network((inputs - self.mean) / self.std)
        return output


def _targets(states: FloatArray) -> Tensor:
    angle = states[:, 4:5]
    columns = [states[:, :4] / _UNIT, np.cos(angle), np.sin(angle)]
    return torch.from_numpy(np.concatenate(columns, axis=1)).float()


def _flat(latents: Tensor) -> Tensor:
    return latents.flatten(1).float()


def fit_linear(latents: Tensor, states: FloatArray) -> Probe:
    """Least squares on latents [N, *Z] of states [N, 7]."""
    inputs, targets = _flat(latents), _targets(states)
    mean, offset = inputs.mean(0), targets.mean(0)
    # The pseudo-inverse: constant and dependent latent dimensions are no obstacle.
    solution = torch.linalg.lstsq(
        (inputs - mean).double(), (targets - offset).double(), driver="gelsd"
    ).solution.float()
    linear = nn.Linear(inputs.shape[1], TARGETS)
    linear.weight.data.copy_(solution.T)
    linear.bias.data.copy_(offset - mean @ solution)
    return Probe(linear, _flat)


def fit_mlp(latents: Tensor, states: FloatArray, settings: ProbeSettings, seed: int) -> Probe:
    """Two hidden layers on latents [N, *Z] of states [N, 7]."""
    inputs = _flat(latents)
    hidden = settings.hidden

    def network() -> nn.Module:
        return nn.Sequential(
            nn.Linear(inputs.shape[1], hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, TARGETS),
        )

    fitted = _fit(network, inputs, _targets(states), settings.steps, settings.batch, 2e-3, seed)
    return Probe(fitted, _flat)


def fit_token_probe(
    model: HasTokens, latents: Tensor, states: FloatArray, settings: ProbeSettings, seed: int
) -> Probe:
    """A `PoolingHead` on the tokens of latents [N, *Z] of states [N, 7].

    What a token and its neighbours hold is read in the same way wherever they lie, which takes
    far fewer frames than an MLP on all tokens side by side.

    Raises:
        ValueError: the tokens do not lie on a square grid.
    """

    def view(part: Tensor) -> Tensor:
        return model.tokens(part).float()

    inputs = view(latents)
    tokens, channels = inputs.shape[1:]
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise ValueError(f"{tokens} tokens do not lie on a square grid")
    fitted = _fit(
        lambda: PoolingHead(
            channels, side, settings.token_votes, settings.token_hidden, TARGETS, context=3
        ),
        inputs,
        _targets(states),
        settings.token_steps,
        settings.token_batch,
        4e-3,
        seed,
    )
    return Probe(fitted, view)


def _fit(
    build: Callable[[], nn.Module],
    inputs: Tensor,
    targets: Tensor,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
) -> nn.Module:
    # AdamW on the mean squared error, one cycle of the learning rate.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Standardised(inputs, targets, build())
        optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4)
        warmup = max(_WARMUP, 2 / steps)  # one step of it is no cycle
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps, pct_start=warmup)
        for _ in range(steps):
            rows = torch.randint(len(inputs), (batch,))
            error = (network(inputs[rows]) - targets[rows]).square().mean()
            optimiser.zero_grad()
            error.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    return network.requires_grad_(False)


def state_errors(read: FloatArray, states: FloatArray) -> dict[Quantity, FloatArray]:
    """Distances [N] (px) and wrapped angle differences [N] (degrees) of read states [N, 5]."""
    return {
        "agent_px": np.linalg.norm(read[:, :2] - states[:, :2], axis=1),
        "block_px": np.linalg.norm(read[:, 2:4] - states[:, 2:4], axis=1),
        "angle_deg": np.degrees(wrapped_angle_error(read[:, 4], states[:, 4])),
    }


def summarise(errors: dict[Quantity, FloatArray]) -> dict[str, float]:
    """Root mean square and median of each quantity's errors."""
    squares = {f"{name}_rmse": np.sqrt((values**2).mean()) for name, values in errors.items()}
    medians = {f"{name}_median": np.median(values) for name, values in errors.items()}
    return {name: round(float(value), 2) for name, value in (squares | medians).items()}


@dataclass(frozen=True)
class ProbeReport:
    """What probes read on held-out frames.

    Attributes:
        errors: by probe, as from `summarise`.
        chosen: by quantity, the probe that reads it best on further training frames.
        reader: reads every quantity by the chosen probe.
        settings: how the probes were fitted.
    """

    errors: dict[str, dict[str, float]]
    chosen: dict[Quantity, str]
    reader: Reader
    settings: ProbeSettings

    def to_json(self) -> dict[str, Any]:
        """Errors, the choice and the settings."""
        return {
            "probes": self.errors,
            "read_by": self.chosen,
            "probe_settings": asdict(self.settings),
        }


def measure_probes(
    model: WorldModel,
    train: Demonstrations,
    held_out: Demonstrations,
    settings: ProbeSettings,
    seed: int,
) -> ProbeReport:
    """Fit a linear, an MLP and, for latents with tokens, a token probe, and judge them."""
    has_tokens = isinstance(model, HasTokens)
    fitted_on = max(settings.frames, settings.token_frames if has_tokens else 0)
    states = sample_states(train, fitted_on + settings.choice_frames, seed + 1)
    latents = encode_states(model, states).cpu()
    choice = slice(len(states) - min(settings.choice_frames, len(states) // 4), None)
    fit = slice(0, choice.start)
    few = slice(0, min(settings.frames, choice.start))
    probes = {
        "linear": fit_linear(latents[few], states[few]),
        "mlp": fit_mlp(latents[few], states[few], settings, seed),
    }
    if isinstance(model, HasTokens):
        probes["tokens"] = fit_token_probe(model, latents[fit], states[fit], settings, seed)
    unseen = sample_states(held_out, settings.held_out_frames, seed + 2)
    unseen_latents = encode_states(model, unseen)
    chosen = _choose(probes, latents[choice], states[choice])
    return ProbeReport(
        errors={
            name: summarise(state_errors(probe.read(unseen_latents), unseen))
            for name, probe in probes.items()
        },
        chosen=chosen,
        reader=Reader({quantity: probes[name] for quantity, name in chosen.items()}),
        settings=settings,
    )


def _choose(probes: dict[str, Probe], latents: Tensor, states: FloatArray) -> dict[Quantity, str]:
    errors = {name: state_errors(probe.read(latents), states) for name, probe in probes.items()}
    quantities: tuple[Quantity, ...] = ("agent_px", "block_px", "angle_deg")
    return {
        quantity: min(errors, key=lambda name: float((errors[name][quantity] ** 2).mean()))
        for quantity in quantities
    }
