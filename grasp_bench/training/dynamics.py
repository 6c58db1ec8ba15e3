"""The predictor's stage: encodes frames once, then learns from open-loop rollouts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional

from grasp_bench.core.files import write_atomically
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.environment import PROPRIO_COLUMNS
from grasp_bench.models.dino_wm import DinoWM
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.planners.rollout import rollout
from grasp_bench.tasks.demonstrations import Demonstrations
from grasp_bench.training.loop import LossFunction

_ENCODE_BATCH = 512
_STATISTICS_EPISODES = 4_000
# Both in latent units.
_INPUT_NOISE = 0.02  # standard deviation of the noise on a rollout's first latent
_HUBER = 0.2  # where the loss turns from squared to linear


@dataclass(frozen=True)
class LatentEpisodes:
    """Holds N encoded episodes of M + 1 frames, `frameskip` environment steps apart.

    Attributes:
        features: [N, M + 1, V] in the model's `feature_dtype`, not standardised.
        proprio: [N, M + 1, 4] float32.
        actions: [N, M * frameskip, 2] float32.
    """

    features: Tensor
    proprio: Tensor
    actions: Tensor

    def latents(self, model: LatentWorldModel, *rows: Tensor) -> Tensor:
        """Returns latents, on the model's device, of episodes, or of frames of episodes.

        Args:
            model: standardises the features.
            rows: indices of episodes and, where given, of their frames.
        """
        device = model.visual_mean.device
        return model.latent(self.features[rows].to(device).float(), self.proprio[rows].to(device))


@torch.no_grad()
def visual_features(model: LatentWorldModel | DinoWM, states: np.ndarray) -> Tensor:
    """Returns features [N, ...], on the CPU, of pictures of states [N, 7]."""
    device = model.proprio_mean.device
    parts = [
        model.features(PUSHT.observe(states[i : i + _ENCODE_BATCH], model.view).pixels.to(device))
        for i in range(0, len(states), _ENCODE_BATCH)
    ]
    return torch.cat([part.to("cpu", model.feature_dtype) for part in parts])


def encode_episodes(
    model: LatentWorldModel | DinoWM, data: Demonstrations, cache: Path, seed: int
) -> LatentEpisodes:
    """Encodes every frameskip-th frame of every episode, from a random phase.

    Args:
        model: encodes the frames.
        data: the episodes.
        cache: `.safetensors`; read if it exists, else written.
        seed: of the phases.
    """
    if not cache.exists():
        rows = np.arange(len(data.states))[:, None]
        skip, count = model.frameskip, data.actions.shape[1] // model.frameskip
        phase = np.random.default_rng(seed).integers(0, skip, rows.shape)
        frames = phase + skip * np.arange(count)  # the last phase leaves room for one frame less
        states = data.states[rows, frames]
        features = visual_features(model, states.reshape(-1, states.shape[-1]))
        actions = data.actions[rows, phase + np.arange((count - 1) * skip)]
        tensors = {
            "features": features.reshape(*states.shape[:2], -1),
            "proprio": torch.from_numpy(states[..., PROPRIO_COLUMNS]).contiguous(),
            "actions": torch.from_numpy(actions),
        }
        write_atomically(cache, save(tensors))
    return LatentEpisodes(**load_file(cache))


def set_statistics(model: LatentWorldModel, episodes: LatentEpisodes) -> None:
    """Sets the model's normalisation from data; x and y of the agent share one scale."""
    every = max(1, len(episodes.features) // _STATISTICS_EPISODES)
    mean, scale = model.feature_statistics(episodes.features[::every].flatten(0, 1).float())
    model.visual_mean.copy_(mean)
    model.visual_std.copy_(scale)
    set_motion_statistics(model, episodes)


def set_motion_statistics(model: LatentWorldModel | DinoWM, episodes: LatentEpisodes) -> None:
    """Sets the normalisation of proprioception and actions alone."""
    proprio = episodes.proprio.flatten(0, 1)
    model.proprio_mean.copy_(proprio.mean(0))
    model.proprio_std[:2] = proprio[:, :2].std(0).mean()
    model.proprio_std[2:] = proprio[:, 2:].std(0).mean()
    actions = episodes.actions.flatten(0, 1)
    model.action_mean.copy_(actions.mean(0))
    model.action_std.copy_(actions.std(0))


def dynamics_loss(
    model: LatentWorldModel, episodes: LatentEpisodes, batch: int, unroll: int
) -> LossFunction:
    """Returns the Huber loss of open-loop rollouts over `unroll` model steps.

    They begin at random frames, with noise on the first latent.
    """
    device = model.visual_mean.device
    actions = model.normalise_actions(episodes.actions.to(device)).cpu()
    last_start = actions.shape[1] - unroll
    if last_start < 0:
        raise ValueError(f"episodes of {actions.shape[1]} model steps cannot be unrolled {unroll}")

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        episode = torch.randint(len(actions), (batch, 1), generator=generator)
        begin = torch.randint(last_start + 1, (batch, 1), generator=generator)
        steps = begin + torch.arange(unroll + 1)
        latents = episodes.latents(model, episode, steps)
        noise = torch.randn(latents[:, 0].shape, generator=generator).to(device)
        start, targets = latents[:, 0] + _INPUT_NOISE * noise, latents[:, 1:]
        predicted = rollout(model, start, actions[episode, steps[:, :-1]].to(device))
        each = functional.huber_loss(predicted, targets, reduction="none", delta=_HUBER)
        by_step = model.mean_parts(each).mean(0)
        return by_step.mean(), {
            "first_step": round(float(by_step[0].detach()), 6),
            "last_step": round(float(by_step[-1].detach()), 6),
        }

    return loss
