"""The predictor's stage: latents are encoded once, then rolled out open loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from envs.render import render
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.observation import PROPRIO_COLUMNS
from grasp_bench.rollout import rollout
from grasp_bench.training.data import Demonstrations
from grasp_bench.training.loop import LossFunction

ENCODE_BATCH = 512
STATISTICS_EPISODES = 4_000


@dataclass(frozen=True)
class LatentEpisodes:
    """Encoded episodes of M + 1 frames, `frameskip` environment steps apart.

    Attributes:
        features: [N, M + 1, V] in the model's `feature_dtype`, not yet standardised.
        proprio: [N, M + 1, 4] float32.
        actions: [N, M * frameskip, 2] float32.
    """

    features: Tensor
    proprio: Tensor
    actions: Tensor


def frame_indices(episodes: int, steps: int, frameskip: int, seed: int) -> np.ndarray:
    """Which frames of each episode are encoded [N, M + 1]: every frameskip-th, random phase."""
    count = steps // frameskip  # the last phase leaves room for one frame less
    phase = np.random.default_rng(seed).integers(0, frameskip, episodes)
    return np.asarray(phase[:, None] + frameskip * np.arange(count))


@torch.no_grad()
def visual_features(model: LatentWorldModel, states: np.ndarray) -> Tensor:
    """Features [N, V], on the CPU, of pictures of states [N, 7]."""
    device = model.visual_mean.device
    parts = [
        model.features(
            torch.from_numpy(render(states[i : i + ENCODE_BATCH], model.image_size)).to(device)
        )
        for i in range(0, len(states), ENCODE_BATCH)
    ]
    return torch.cat([part.to("cpu", model.feature_dtype) for part in parts])


def encode_episodes(
    model: LatentWorldModel, data: Demonstrations, cache: Path, seed: int
) -> LatentEpisodes:
    """Encode every frameskip-th frame of every episode; `cache` is read if it exists."""
    frames = frame_indices(len(data.states), data.actions.shape[1], model.frameskip, seed)
    return encode_frames(model, data, np.arange(len(frames)), frames, cache)


def encode_phases(model: LatentWorldModel, data: Demonstrations, cache: Path) -> LatentEpisodes:
    """As `encode_episodes`, but each episode once for each of its `frameskip` phases."""
    skip, episodes = model.frameskip, len(data.states)
    phases = np.tile(np.arange(skip), episodes)
    frames = phases[:, None] + skip * np.arange(data.actions.shape[1] // skip)
    return encode_frames(model, data, np.repeat(np.arange(episodes), skip), frames, cache)


def encode_frames(
    model: LatentWorldModel,
    data: Demonstrations,
    episodes: np.ndarray,
    frames: np.ndarray,
    cache: Path,
) -> LatentEpisodes:
    """Encode frames [N, M + 1], `frameskip` apart, of episodes [N], or read them from `cache`."""
    if not cache.exists():
        rows = episodes[:, None]
        states = data.states[rows, frames]
        features = visual_features(model, states.reshape(-1, states.shape[-1]))
        steps = frames[:, :1] + np.arange((frames.shape[1] - 1) * model.frameskip)
        temporary = cache.with_name("encoding.tmp.npz")
        np.savez(
            temporary,
            features=features.numpy().reshape(*states.shape[:2], -1),
            proprio=states[..., PROPRIO_COLUMNS],
            actions=data.actions[rows, steps],
        )
        temporary.replace(cache)
    stored = np.load(cache, allow_pickle=False)
    return LatentEpisodes(
        *(torch.from_numpy(stored[name]) for name in ("features", "proprio", "actions"))
    )


def set_statistics(model: LatentWorldModel, episodes: LatentEpisodes) -> None:
    """Set the model's normalisation from data."""
    every = max(1, len(episodes.features) // STATISTICS_EPISODES)
    mean, scale = model.feature_statistics(episodes.features[::every].flatten(0, 1).float())
    model.visual_mean.copy_(mean)
    model.visual_std.copy_(scale)
    set_agent_statistics(model, episodes)


def set_agent_statistics(model: LatentWorldModel, episodes: LatentEpisodes) -> None:
    """Set the normalisation of proprioception and actions; x and y share one scale."""
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
        attack: radius ε of the perturbations of the first latent and of all actions, in
            standardised units, that raise the loss most to first order; 0 for none.
    """

    unroll: int = 4
    input_noise: float = 0.02
    huber: float = 0.2
    attack: float = 0.0


class Source(NamedTuple):
    """Episodes to learn from, and how many windows of them a step takes."""

    episodes: LatentEpisodes
    windows: int


def dynamics_loss(
    model: LatentWorldModel, sources: Sequence[Source], objective: DynamicsObjective
) -> LossFunction:
    """Huber loss of open-loop rollouts over `unroll` model steps from random frames."""
    device = model.visual_mean.device
    draws = [_window_sampler(model, source, objective.unroll) for source in sources]

    def errors(start: Tensor, actions: Tensor, targets: Tensor) -> Tensor:
        predicted = rollout(model, start, actions)
        each = functional.huber_loss(predicted, targets, reduction="none", delta=objective.huber)
        return model.mean_parts(each).mean(0)

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        windows = [draw(generator) for draw in draws]
        latents, actions = (torch.cat(parts).to(device) for parts in zip(*windows, strict=True))
        noise = torch.randn(latents[:, 0].shape, generator=generator).to(device)
        start, targets = latents[:, 0] + objective.input_noise * noise, latents[:, 1:]
        if objective.attack > 0:
            start, actions = attacked(
                lambda s, a: errors(s, a, targets).mean(),
                start,
                actions,
                objective.attack,
                generator,
            )
        by_step = errors(start, actions, targets)
        return by_step.mean(), {
            "first_step": round(float(by_step[0].detach()), 6),
            "last_step": round(float(by_step[-1].detach()), 6),
        }

    return loss


def attacked(
    loss: Callable[[Tensor, Tensor], Tensor],
    start: Tensor,
    actions: Tensor,
    radius: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Latents and actions moved within ±radius to where `loss` is larger.

    One signed-gradient step of 1.25 radii from a uniformly random point of the box, clipped
    to it: the fast gradient sign method that arXiv 2512.09929 trains world models with.
    """

    def random(like: Tensor) -> Tensor:
        return ((2 * torch.rand(like.shape, generator=generator) - 1) * radius).to(like.device)

    offsets = [random(start).requires_grad_(), random(actions).requires_grad_()]
    value = loss(start + offsets[0], actions + offsets[1])
    gradients = torch.autograd.grad(value, offsets)
    moved = [
        (offset.detach() + 1.25 * radius * gradient.sign()).clamp(-radius, radius)
        for offset, gradient in zip(offsets, gradients, strict=True)
    ]
    return start + moved[0], actions + moved[1]


def _window_sampler(
    model: LatentWorldModel, source: Source, unroll: int
) -> Callable[[torch.Generator], tuple[Tensor, Tensor]]:
    """Draws latents [B, U + 1, D] and actions [B, U, A] of random windows of a source."""
    episodes, count = source
    device = model.visual_mean.device
    actions = model.normalise_actions(episodes.actions.to(device)).cpu()
    last_start = episodes.features.shape[1] - 1 - unroll
    if last_start < 0:
        raise ValueError(
            f"episodes of {episodes.features.shape[1] - 1} model steps cannot be unrolled {unroll}"
        )

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        episode = torch.randint(len(episodes.features), (count, 1), generator=generator)
        begin = torch.randint(last_start + 1, (count, 1), generator=generator)
        steps = begin + torch.arange(unroll + 1)
        latents = model.latent(
            episodes.features[episode, steps].to(device).float(),
            episodes.proprio[episode, steps].to(device),
        )
        return latents, actions[episode, steps[:, :-1]]

    return draw
