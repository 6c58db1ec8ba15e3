"""What a world model knows, measured on held-out demonstrations without a planner.

A probe maps latents to the simulator's state. It is fitted on training frames and judged
on held-out ones; a latent that holds nothing of the block's angle cannot hide that here,
however small its loss is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from envs.goal import wrapped_angle_error
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.observation import observe
from grasp_bench.rollout import rollout
from grasp_bench.training.data import Demonstrations

PROBE_FRAMES = 20_000
HELD_OUT_FRAMES = 4_000
ROLLOUT_STEPS = (1, 4, 8, 12, 16)
_ANGLE_SCALE = 100.0  # cos and sin of the angle weigh like 100 px


def _targets(states: np.ndarray) -> Tensor:
    angle = states[:, 4:5]
    columns = [states[:, :4], _ANGLE_SCALE * np.cos(angle), _ANGLE_SCALE * np.sin(angle)]
    return torch.from_numpy(np.concatenate(columns, axis=1)).float()


@torch.no_grad()
def _encode(model: LatentWorldModel, states: np.ndarray) -> Tensor:
    parts = [model.encode(observe(states[i : i + 500], model)) for i in range(0, len(states), 500)]
    return torch.cat(parts).cpu()


def _sample_states(data: Demonstrations, count: int, seed: int) -> np.ndarray:
    states = data.states.reshape(-1, data.states.shape[-1])
    rows = np.random.default_rng(seed).choice(len(states), min(count, len(states)), replace=False)
    return np.asarray(states[np.sort(rows)], dtype=np.float64)


class Probe:
    """A map from latents [N, D] to agent x, y, block x, y (px) and block angle (rad)."""

    def __init__(self, latents: Tensor, states: np.ndarray, hidden: int, seed: int = 0) -> None:
        """Fit on latents [N, D] of states [N, 7]; linear least squares where hidden is 0."""
        targets = _targets(states) / _ANGLE_SCALE
        self._mean, self._std = latents.mean(0), latents.std(0) + 1e-6
        inputs = (latents - self._mean) / self._std
        if hidden == 0:
            padded = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
            solution = torch.linalg.lstsq(padded, targets).solution
            linear = nn.Linear(inputs.shape[1], targets.shape[1])
            linear.weight.data.copy_(solution[:-1].T)
            linear.bias.data.copy_(solution[-1])
            self._map: nn.Module = linear
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._map = nn.Sequential(
                nn.Linear(inputs.shape[1], hidden),
                nn.SiLU(),
                nn.Linear(hidden, hidden),
                nn.SiLU(),
                nn.Linear(hidden, targets.shape[1]),
            )
            self._fit(inputs, targets)

    def _fit(self, inputs: Tensor, targets: Tensor, steps: int = 3000, batch: int = 512) -> None:
        optimiser = torch.optim.AdamW(self._map.parameters(), lr=2e-3, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(steps):
            rows = torch.randint(len(inputs), (batch,))
            error = (self._map(inputs[rows]) - targets[rows]).square().mean()
            optimiser.zero_grad()
            error.backward()
            optimiser.step()
            schedule.step()

    @torch.no_grad()
    def read(self, latents: Tensor) -> np.ndarray:
        """States [N, 5]: agent x, y, block x, y (px), block angle (rad)."""
        values = self._map((latents.cpu() - self._mean) / self._std).double().numpy() * _ANGLE_SCALE
        angle = np.arctan2(values[:, 5], values[:, 4])
        return np.concatenate([values[:, :4], angle[:, None]], axis=1)


def _errors(read: np.ndarray, states: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "agent_px": np.linalg.norm(read[:, :2] - states[:, :2], axis=1),
        "block_px": np.linalg.norm(read[:, 2:4] - states[:, 2:4], axis=1),
        "angle_deg": np.degrees(wrapped_angle_error(read[:, 4], states[:, 4])),
    }


def _summary(errors: dict[str, np.ndarray]) -> dict[str, float]:
    rms = {f"{k}_rmse": round(float(np.sqrt((v**2).mean())), 2) for k, v in errors.items()}
    medians = {f"{k}_median": round(float(np.median(v)), 2) for k, v in errors.items()}
    return rms | medians


@torch.no_grad()
def rollout_report(
    model: LatentWorldModel, probe: Probe, held_out: Demonstrations, episodes: int = 500
) -> dict[str, dict[str, float]]:
    """Open-loop errors after 1 to 16 model steps under the demonstrations' own actions.

    Beside the model's errors stand those of the copy floor, which says that nothing moves.
    """
    skip = model.frameskip
    steps = min(max(ROLLOUT_STEPS), held_out.actions.shape[1] // skip)
    states = held_out.states[:episodes].astype(np.float64)
    actions = torch.from_numpy(held_out.actions[:episodes, : steps * skip])
    chunks = model.normalise_actions(actions.to(model.action_mean.device))
    start = model.encode(observe(states[:, 0], model))
    predicted = rollout(model, start, chunks)
    report: dict[str, dict[str, float]] = {}
    first = probe.read(start)
    for t in ROLLOUT_STEPS:
        if t <= steps:
            truth = states[:, t * skip]
            errors = _summary(_errors(probe.read(predicted[:, t - 1]), truth))
            floor = _summary(_errors(first, truth))
            report[str(t)] = errors | {f"copy_{k}": v for k, v in floor.items()}
    return report


def model_report(
    model: LatentWorldModel, train: Demonstrations, held_out: Demonstrations
) -> dict[str, Any]:
    """Probe and open-loop errors (px and degrees), as they stand in a checkpoint's card.

    Probes are fitted on training frames and judged on held-out ones; the open-loop errors
    are read off by the MLP probe.
    """
    states = _sample_states(train, PROBE_FRAMES, seed=1)
    latents = _encode(model, states)
    probes = {"linear": Probe(latents, states, hidden=0), "mlp": Probe(latents, states, hidden=256)}
    unseen = _sample_states(held_out, HELD_OUT_FRAMES, seed=2)
    unseen_latents = _encode(model, unseen)
    return {
        "probes": {
            name: _summary(_errors(probe.read(unseen_latents), unseen))
            for name, probe in probes.items()
        },
        "open_loop": rollout_report(model, probes["mlp"], held_out),
    }
