"""Fits probes, maps from latents to the simulator's state, on training frames.

They show whether a latent holds the block's position and angle, however small the model's
loss is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from grasp_bench.core.types import FloatArray, WorldModel
from grasp_bench.diagnostics.encoding import encode_states, rounded, sample_states
from grasp_bench.diagnostics.report_settings import ProbeSettings
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.criteria import wrapped_angle_error
from grasp_bench.models.probe import (
    HasTokens,
    LatentProbe,
    Probe,
    ProbeConfig,
    ProbeKind,
    flat,
    latent_probe,
)
from grasp_bench.tasks.demonstrations import Demonstrations

Quantity = Literal["agent_px", "block_px", "angle_deg"]
_QUANTITIES: tuple[Quantity, ...] = ("agent_px", "block_px", "angle_deg")
_WARMUP = 0.05  # of the steps


def fit_linear(latents: Tensor, states: FloatArray) -> Probe:
    """Fits a linear probe on latents [N, *Z] of states [N, 7] by least squares."""
    inputs = flat(latents)
    probe = Probe(_config("linear", inputs.shape[1]))
    targets = probe.targets(states)
    probe.standardise(inputs, targets)
    probe.std.fill_(1.0)
    # gelsd takes the pseudo-inverse, so constant or dependent latent dimensions do no harm.
    solution = torch.linalg.lstsq(
        (inputs - probe.mean).double(), (targets - probe.centre).double(), driver="gelsd"
    ).solution.float()
    probe.load_state_dict({"network.weight": solution.T}, strict=False)
    return probe.requires_grad_(False)


def fit_mlp(latents: Tensor, states: FloatArray, settings: ProbeSettings, seed: int) -> Probe:
    """Fits an MLP with two hidden layers on latents [N, *Z] of states [N, 7]."""
    inputs = flat(latents)
    config = _config("mlp", inputs.shape[1], hidden=settings.hidden)
    return _fit(config, inputs, states, settings.steps, settings.batch, 2e-3, seed)


def fit_token_probe(
    tokens: Tensor, states: FloatArray, settings: ProbeSettings, seed: int
) -> Probe:
    """Fits a `PoolingHead` on tokens [N, G * G, C] of states [N, 7].

    It reads a token and its neighbours in the same way everywhere, and so needs far fewer
    frames than an MLP on all tokens.

    Raises:
        ValueError: the tokens do not lie on a square grid.
    """
    count, channels = tokens.shape[1:]
    side = math.isqrt(count)
    if side * side != count:
        raise ValueError(f"{count} tokens do not lie on a square grid")
    sizes = {"hidden": settings.token_hidden, "cells": side, "votes": settings.token_votes}
    config = _config("tokens", channels, **sizes)
    steps, batch = settings.token_steps, settings.token_batch
    return _fit(config, tokens, states, steps, batch, 4e-3, seed)


def _config(kind: ProbeKind, inputs: int, **sizes: int) -> ProbeConfig:
    # Of a state of Push-T: two places, the block's angle, and velocities, which are not read.
    return ProbeConfig(kind, inputs, state=PUSHT.state_dim, lengths=4, angles=1, **sizes)


def _fit(
    config: ProbeConfig,
    inputs: Tensor,
    states: FloatArray,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
) -> Probe:
    # Minimises the mean squared error with AdamW and one cycle of the learning rate.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = Probe(config)
        targets = probe.targets(states)
        probe.standardise(inputs, targets)
        optimiser = torch.optim.AdamW(probe.parameters(), lr=rate, weight_decay=1e-4)
        warmup = max(_WARMUP, 2 / steps)  # a cycle needs two steps of it
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps, pct_start=warmup)
        for _ in range(steps):
            rows = torch.randint(len(inputs), (batch,))
            error = (probe(inputs[rows]) - targets[rows]).square().mean()
            optimiser.zero_grad()
            error.backward()
            nn.utils.clip_grad_norm_(probe.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    return probe.requires_grad_(False)


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
    probes: dict[str, LatentProbe]

    @property
    def best(self) -> LatentProbe:
        """The probe that reads the block's place best."""
        return self.probes[self.chosen["block_px"]]

    def read(self, latents: Tensor) -> FloatArray:
        """Reads latents as `StateProbe.read` does, each quantity with its chosen probe."""
        agent, block, angle = (self.probes[self.chosen[q]].read(latents) for q in _QUANTITIES)
        return np.concatenate([agent[:, :2], block[:, 2:4], angle[:, 4:5]], axis=1)


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
    fitted = {
        "linear": fit_linear(latents[few], states[few]),
        "mlp": fit_mlp(latents[few], states[few], settings, seed),
    }
    if isinstance(model, HasTokens):
        tokens = model.tokens(latents[fit]).float()
        fitted["tokens"] = fit_token_probe(tokens, states[fit], settings, seed)
    probes = {name: latent_probe(model, probe) for name, probe in fitted.items()}
    unseen = sample_states(held_out, settings.held_out_frames, seed + 2)
    unseen_latents = encode_states(model, unseen)
    errors = {
        name: summarise(state_errors(probe.read(unseen_latents), unseen))
        for name, probe in probes.items()
    }
    return ProbeReport(errors, _choose(probes, latents[choice], states[choice]), probes)


def _choose(
    probes: dict[str, LatentProbe], latents: Tensor, states: FloatArray
) -> dict[Quantity, str]:
    errors = {name: state_errors(probe.read(latents), states) for name, probe in probes.items()}
    return {
        quantity: min(errors, key=lambda name: float((errors[name][quantity] ** 2).mean()))
        for quantity in _QUANTITIES
    }
