"""Stages 2 and 3: the predictor on cached latents, and a decoder for looking at them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from envs.render import render
from grasp_bench.models.compact import CompactWorldModel, pixel_centres
from grasp_bench.models.observation import PROPRIO_COLUMNS
from grasp_bench.rollout import rollout
from grasp_bench.training.data import Demonstrations
from grasp_bench.training.loop import LossFunction

_ENCODE_BATCH = 512
DECODED_PIXELS = 512  # of a frame, per step


@dataclass(frozen=True)
class LatentEpisodes:
    """Encoded episodes of M + 1 frames, `frameskip` environment steps apart.

    Attributes:
        keypoints: [N, M + 1, K, 2] float32, px.
        proprio: [N, M + 1, 4] float32.
        actions: [N, M * frameskip, 2] float32.
    """

    keypoints: Tensor
    proprio: Tensor
    actions: Tensor


def frame_indices(episodes: int, steps: int, frameskip: int, seed: int) -> np.ndarray:
    """Which frames of each episode are encoded [N, M + 1]: every frameskip-th, random phase."""
    count = steps // frameskip  # the last phase leaves room for one frame less
    phase = np.random.default_rng(seed).integers(0, frameskip, episodes)
    return np.asarray(phase[:, None] + frameskip * np.arange(count))


@torch.no_grad()
def encode_episodes(
    model: CompactWorldModel, data: Demonstrations, cache: Path, seed: int
) -> LatentEpisodes:
    """Encode every frameskip-th frame of every episode; `cache` is read if it exists."""
    if not cache.exists():
        device = next(model.parameters()).device
        skip, size = model.config.frameskip, model.config.image_size
        frames = frame_indices(len(data.states), data.actions.shape[1], skip, seed)
        rows = np.arange(len(frames))[:, None]
        states = data.states[rows, frames]
        flat = states.reshape(-1, states.shape[-1])
        points = [
            model.keypoints(torch.from_numpy(render(flat[i : i + _ENCODE_BATCH], size)).to(device))
            for i in range(0, len(flat), _ENCODE_BATCH)
        ]
        steps = frames[:, :1] + np.arange((frames.shape[1] - 1) * skip)
        temporary = cache.with_name("encoding.tmp.npz")
        np.savez(
            temporary,
            keypoints=torch.cat(points).cpu().numpy().reshape(*states.shape[:2], -1, 2),
            proprio=states[..., PROPRIO_COLUMNS],
            actions=data.actions[rows, steps],
        )
        temporary.replace(cache)
    stored = np.load(cache, allow_pickle=False)
    return LatentEpisodes(
        *(torch.from_numpy(stored[name]) for name in ("keypoints", "proprio", "actions"))
    )


def set_statistics(model: CompactWorldModel, episodes: LatentEpisodes) -> None:
    """Set the model's normalisation from data.

    All keypoint coordinates share one scale and all velocities another, so that the
    latent keeps the picture's geometry.
    """
    keypoints = episodes.keypoints.flatten(0, 1)
    model.visual_mean.copy_(keypoints.flatten(1).mean(0))
    model.visual_std.copy_(keypoints.flatten(1).std(0).mean())
    proprio = episodes.proprio.flatten(0, 1)
    model.proprio_mean.copy_(proprio.mean(0))
    model.proprio_std[:2] = proprio[:, :2].std(0).mean()
    model.proprio_std[2:] = proprio[:, 2:].std(0).mean()
    actions = episodes.actions.flatten(0, 1)
    model.action_mean.copy_(actions.mean(0))
    model.action_std.copy_(actions.std(0))


@dataclass(frozen=True)
class DynamicsObjective:
    """The predictor's loss.

    Attributes:
        unroll: model steps rolled out for the loss.
        input_noise: standard deviation of the noise on the first latent, in latent units.
        huber: where the loss turns from squared to linear, in latent units.
    """

    unroll: int = 4
    input_noise: float = 0.02
    huber: float = 0.2


def dynamics_loss(
    model: CompactWorldModel, episodes: LatentEpisodes, batch: int, objective: DynamicsObjective
) -> LossFunction:
    """Huber loss of an open-loop rollout over `unroll` model steps from a random frame."""
    with torch.no_grad():
        latents = model.latent(
            episodes.keypoints.to(model.visual_mean.device),
            episodes.proprio.to(model.visual_mean.device),
        )
        actions = model.normalise_actions(episodes.actions.to(latents.device))
    last_start = latents.shape[1] - 1 - objective.unroll
    if last_start < 0:
        raise ValueError(
            f"episodes of {latents.shape[1] - 1} model steps, {objective} unrolls more"
        )

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        episode = torch.randint(len(latents), (batch,), generator=generator)
        begin = torch.randint(last_start + 1, (batch,), generator=generator)
        noise = torch.randn(batch, latents.shape[-1], generator=generator).to(latents.device)
        steps = begin[:, None] + torch.arange(objective.unroll)
        start = latents[episode, begin] + objective.input_noise * noise
        predicted = rollout(model, start, actions[episode[:, None], steps])
        target = latents[episode[:, None], steps + 1]
        errors = functional.huber_loss(predicted, target, reduction="none", delta=objective.huber)
        by_step = errors.detach().mean((0, 2))
        return errors.mean(), {
            "first_step": round(float(by_step[0]), 6),
            "last_step": round(float(by_step[-1]), 6),
        }

    return loss


def decoder_loss(
    model: CompactWorldModel,
    data: Demonstrations,
    frames: int,
    batch: int,
    seed: int,
) -> LossFunction:
    """Random pixels of encoded frames; what is not background weighs ten times as much."""
    device = model.visual_mean.device
    states = data.states.reshape(-1, data.states.shape[-1])
    chosen = np.random.default_rng(seed).choice(len(states), min(frames, len(states)), False)
    states = states[np.sort(chosen)]
    pixels = torch.from_numpy(render(states, model.config.image_size))
    with torch.no_grad():
        points = torch.cat(
            [
                model.keypoints(pixels[i : i + _ENCODE_BATCH].to(device))
                for i in range(0, len(pixels), _ENCODE_BATCH)
            ]
        )
    places = pixel_centres(model.config.image_size)[0]
    colours = pixels.flatten(1, 2)

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = torch.randint(len(colours), (batch, 1), generator=generator)
        chosen = torch.randint(len(places), (batch, DECODED_PIXELS), generator=generator)
        target = colours[rows, chosen].to(device).float() / 255
        weight = 1 + 9 * (target.amin(-1, keepdim=True) < 0.98).float()
        drawn = model.decoder(points[rows[:, 0]], places[chosen].to(device))
        return (weight * (drawn - target) ** 2).mean(), {}

    return loss
