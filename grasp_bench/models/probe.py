"""Probes: maps from a world model's latents to the environment's state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import FloatArray, WorldModel
from grasp_bench.models.layers import mlp
from grasp_bench.models.pooling_head import PoolingHead
from grasp_bench.models.weights import Architecture, load_attached, save_weights

ProbeKind = Literal["linear", "mlp", "tokens"]

_UNIT = 100.0  # of lengths: an error of so many weighs like one of 1 in cos or sin
_READ_BATCH = 1_000
_MOST_CELLS = 64  # along a side; the places of all are made anew, not read from a file


@dataclass(frozen=True)
class ProbeConfig:
    """Holds the architecture of a `Probe`.

    Attributes:
        kind: linear or an MLP on whole latents, or a `PoolingHead` on a grid of tokens.
        inputs: width of a latent, or of a token.
        state: S, numbers of an environment state.
        lengths: how many of them, the first, are lengths.
        angles: how many after those are angles; the rest is not read.
        hidden: width of the hidden layers.
        cells: tokens along a side of the grid.
        votes: points that the tokens vote for.
    """

    kind: ProbeKind
    inputs: int
    state: int
    lengths: int
    angles: int
    hidden: int = 1
    cells: int = 1
    votes: int = 1

    def __post_init__(self) -> None:
        if self.cells > _MOST_CELLS:
            raise ValueError(f"cells is {self.cells}, not {_MOST_CELLS} at most")
        if self.lengths + self.angles > self.state:
            raise ValueError(f"lengths and angles are more than the state's {self.state} numbers")


class Probe(nn.Module):
    """Reads lengths, and cosines and sines of angles, from standardised inputs."""

    mean: Tensor
    std: Tensor
    centre: Tensor

    def __init__(self, config: ProbeConfig) -> None:
        super().__init__()
        self.config = config
        width, hidden = config.lengths + 2 * config.angles, config.hidden
        self.register_buffer("mean", torch.zeros(config.inputs))
        self.register_buffer("std", torch.ones(config.inputs))
        self.register_buffer("centre", torch.zeros(width))
        self.network: nn.Module
        if config.kind == "linear":
            self.network = nn.Linear(config.inputs, width, bias=False)
        elif config.kind == "mlp":
            self.network = mlp(config.inputs, hidden, hidden, width)
        else:
            self.network = PoolingHead(config.inputs, config.cells, config.votes, hidden, width)

    def standardise(self, inputs: Tensor, targets: Tensor) -> None:
        """Takes the statistics of inputs [N, ..., inputs] and targets [N, width]."""
        rows = inputs.reshape(-1, inputs.shape[-1])
        self.mean.copy_(rows.mean(0))
        self.std.copy_(rows.std(0) + 1e-6)
        self.centre.copy_(targets.mean(0))

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns what `targets` makes of states, [N, width], for raw inputs."""
        output: Tensor = self.centre + self.network((inputs - self.mean) / self.std)
        return output

    def targets(self, states: FloatArray) -> Tensor:
        """Returns what the network learns to say of states [N, S]."""
        lengths = states[:, : self.config.lengths] / _UNIT
        angles = states[:, self.config.lengths :][:, : self.config.angles]
        columns = [lengths, np.cos(angles), np.sin(angles)]
        return torch.from_numpy(np.concatenate(columns, axis=1)).float()

    def states(self, outputs: Tensor) -> FloatArray:
        """Returns states [N, S] of outputs [N, width]; what is not read is 0."""
        values, config = outputs.double().cpu().numpy(), self.config
        lengths, cosines, sines = np.split(
            values, [config.lengths, config.lengths + config.angles], axis=1
        )
        states = np.zeros((len(values), config.state))
        states[:, : config.lengths] = _UNIT * lengths
        states[:, config.lengths :][:, : config.angles] = np.arctan2(sines, cosines)
        return states


@runtime_checkable
class HasTokens(Protocol):
    """Describes a world model whose latents hold a grid of tokens."""

    def tokens(self, state: Tensor) -> Tensor:
        """Returns tokens [..., N, C] of latents [..., *Z], row by row."""
        ...


class LatentProbe:
    """Makes a `Probe` a `StateProbe`, which takes a world model's latents."""

    def __init__(self, probe: Probe, view: Callable[[Tensor], Tensor]) -> None:
        """Takes the probe and the view: latents [N, *Z] to its inputs."""
        self.probe, self._view = probe, view

    @torch.no_grad()
    def read(self, latents: Tensor) -> FloatArray:
        """Reads latents [N, *Z] as states [N, S]; see `StateProbe.read`."""
        device = self.probe.mean.device
        parts = torch.split(latents, _READ_BATCH)
        read = [self.probe(self._view(part.to(device))) for part in parts]
        return self.probe.states(torch.cat(read))


def flat(latents: Tensor) -> Tensor:
    """Returns latents [N, *Z] as rows [N, D] of 32-bit numbers."""
    return latents.flatten(1).float()


def latent_probe(model: WorldModel, probe: Probe) -> LatentProbe:
    """Makes a probe read the latents of a model.

    Raises:
        ValueError: these have another width, or no tokens where the probe reads those.
    """
    config = probe.config
    if config.kind == "tokens" and not isinstance(model, HasTokens):
        raise ValueError("it reads tokens, and the model has none")
    view = model.tokens if isinstance(model, HasTokens) and config.kind == "tokens" else flat
    grid = (config.cells**2,) if config.kind == "tokens" else ()
    read = tuple(view(torch.zeros(1, *model.latent_shape, device=probe.mean.device)).shape[1:])
    if read != (*grid, config.inputs):
        raise ValueError(f"it reads {(*grid, config.inputs)} numbers, and the model has {read}")
    return LatentProbe(probe, view)


def probe_path(checkpoint: Path) -> Path:
    """Returns where the probe of a checkpoint lies: in `probes/` beside it."""
    return checkpoint.parent / "probes" / checkpoint.name


def save_probe(probe: Probe, path: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Writes a probe and its card; returns the whole card."""
    architecture = {"architecture": asdict(probe.config)}
    return save_weights(path, probe.state_dict(), architecture | card)


def load_probe(
    checkpoint: Path, model_sha256: str, model: WorldModel
) -> tuple[LatentProbe, str] | None:
    """Reads a checkpoint's probe and its SHA-256; None if there is none for these weights.

    Raises:
        UserError: the file is damaged, or does not match its card or the model.
    """
    path = probe_path(checkpoint)
    found = load_attached(path, model_sha256, Architecture(ProbeConfig, Probe))
    if found is None:
        return None
    probe, sha256 = found
    try:
        return latent_probe(model, probe), sha256
    except ValueError as error:
        raise UserError(f"the probe {path} does not fit the model: {error}") from error
