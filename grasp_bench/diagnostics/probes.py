"""Fits probes, maps from latents to the simulator's state, on training frames.

They show whether a latent holds the block's position and angle, however small the model's
loss is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from grasp_bench.core.types import FloatArray, WorldModel
from grasp_bench.diagnostics.encoding import encode_states, rounded, sample_states
from grasp_bench.diagnostics.pooling_head import PoolingHead
from grasp_bench.diagnostics.report_settings import ProbeSettings
from grasp_bench.envs.pusht.criteria import wrapped_angle_error
from grasp_bench.models.layers import mlp
from grasp_bench.tasks.demonstrations import Demonstrations

Quantity = Literal["agent_px", "block_px", "angle_deg"]
_QUANTITIES: tuple[Quantity, ...] = ("agent_px", "block_px", "angle_deg")
_TARGETS = 6
_UNIT = 100.0  # px; the loss weighs an error of so many px like one of 1 in cos or sin
_READ_BATCH = 1_000
_WARMUP = 0.05  # of the steps


@runtime_checkable
class HasTokens(Protocol):
    """Describes a world model whose latents hold a grid of tokens."""

    def tokens(self, state: Tensor) -> Tensor:
        """Returns tokens [..., N, C] of latents [..., *Z], row by row."""
        ...


class Probe:
    """Maps latents to agent x, y, block x, y (px) and block angle (rad)."""

    def __init__(self, network: nn.Module, view: Callable[[Tensor], Tensor]) -> None:
        """Takes a network with outputs in the units of `_targets`, and its inputs of latents."""
        self._network, self._view = network, view

    @torch.no_grad()
    def read(self, latents: Tensor) -> FloatArray:
        """Reads latents [N, *Z] as [N, 5]: agent x, y, block x, y (px), block angle (rad)."""
        parts = torch.split(latents, _READ_BATCH)
        read = [self._network(self._view(part.cpu())) for part in parts]
        values = torch.cat(read).double().numpy()
        angle = np.arctan2(values[:, 5], values[:, 4])
        return np.concatenate([_UNIT * values[:, :4], angle[:, None]], axis=1)


class Standardised(nn.Module):
    """Standardises a network's inputs and centres its outputs on the targets' mean."""

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
        """Returns the network's outputs for raw inputs."""
        output: Tensor = self.centre + self.network((inputs - self.mean) / self.std)
        return output


def _targets(states: FloatArray) -> Tensor:
    angle = states[:, 4:5]
    columns = [states[:, :4] / _UNIT, np.cos(angle), np.sin(angle)]
    return torch.from_numpy(np.concatenate(columns, axis=1)).float()


def _flat(latents: Tensor) -> Tensor:
    return latents.flatten(1).float()


def fit_linear(latents: Tensor, states: FloatArray) -> Probe:
    """Fits a linear probe on latents [N, *Z] of states [N, 7] by least squares."""
    inputs, targets = _flat(latents), _targets(states)
    mean, offset = inputs.mean(0), targets.mean(0)
    # gelsd takes the pseudo-inverse, so constant or dependent latent dimensions do no harm.
    solution = torch.linalg.lstsq(
        (inputs - mean).double(), (targets - offset).double(), driver="gelsd"
    ).solution.float()
    linear = nn.Linear(inputs.shape[1], _TARGETS)
    linear.weight.data.copy_(solution.T)
    linear.bias.data.copy_(offset - mean @ solution)
    return Probe(linear, _flat)


def fit_mlp(latents: Tensor, states: FloatArray, settings: ProbeSettings, seed: int) -> Probe:
    """Fits an MLP with two hidden layers on latents [N, *Z] of states [N, 7]."""
    inputs, hidden = _flat(latents), settings.hidden
    fitted = _fit(
        lambda: mlp(inputs.shape[1], hidden, hidden, _TARGETS),
        inputs,
        _targets(states),
        settings.steps,
        settings.batch,
        2e-3,
        seed,
    )
    return Probe(fitted, _flat)


def fit_token_probe(
    model: HasTokens, latents: Tensor, states: FloatArray, settings: ProbeSettings, seed: int
) -> Probe:
    """Fits a `PoolingHead` on the tokens of latents [N, *Z] of states [N, 7].

    It reads a token and its neighbours in the same way everywhere, and so needs far fewer
    frames than an MLP on all tokens.

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
        lambda: PoolingHead(channels, side, settings.token_votes, settings.token_hidden, _TARGETS),
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
    # Minimises the mean squared error with AdamW and one cycle of the learning rate.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Standardised(inputs, targets, build())
        optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4)
        warmup = max(_WARMUP, 2 / steps)  # a cycle needs two steps of it
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
    """Returns distances [N] (px) and wrapped angle differences [N] (degrees) of reads [N, 5]."""
    return {
        "agent_px": np.linalg.norm(read[:, :2] - states[:, :2], axis=1),
        "block_px": np.linalg.norm(read[:, 2:4] - states[:, 2:4], axis=1),
        "angle_deg": np.degrees(wrapped_angle_error(read[:, 4], states[:, 4])),
    }


def summarise(errors: dict[Quantity, FloatArray]) -> dict[str, float]:
    """Returns root mean square and median of each quantity's errors."""
    squares = {f"{name}_rmse": np.sqrt((values**2).mean()) for name, values in errors.items()}
    medians = {f"{name}_median": np.median(values) for name, values in errors.items()}
    return rounded(squares | medians, 2)


@dataclass(frozen=True)
class ProbeReport:
    """Holds what probes read on held-out frames.

    Attributes:
        errors: by probe, from `summarise`.
        chosen: by quantity, the probe that reads it best on further training frames.
        probes: by name.
    """

    errors: dict[str, dict[str, float]]
    chosen: dict[Quantity, str]
    probes: dict[str, Probe]

    def read(self, latents: Tensor) -> FloatArray:
        """Reads latents as `Probe.read` does, each quantity with its chosen probe."""
        agent, block, angle = (self.probes[self.chosen[q]].read(latents) for q in _QUANTITIES)
        return np.concatenate([agent[:, :2], block[:, 2:4], angle[:, 4:]], axis=1)


def measure_probes(
    model: WorldModel,
    train: Demonstrations,
    held_out: Demonstrations,
    settings: ProbeSettings,
    seed: int,
) -> ProbeReport:
    """Fits a linear, an MLP and, for latents with tokens, a token probe, and measures them."""
    fitted_on = max(settings.frames, settings.token_frames if isinstance(model, HasTokens) else 0)
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
    errors = {
        name: summarise(state_errors(probe.read(unseen_latents), unseen))
        for name, probe in probes.items()
    }
    return ProbeReport(errors, _choose(probes, latents[choice], states[choice]), probes)


def _choose(probes: dict[str, Probe], latents: Tensor, states: FloatArray) -> dict[Quantity, str]:
    errors = {name: state_errors(probe.read(latents), states) for name, probe in probes.items()}
    return {
        quantity: min(errors, key=lambda name: float((errors[name][quantity] ** 2).mean()))
        for quantity in _QUANTITIES
    }
