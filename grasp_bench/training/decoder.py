"""The compact model's last stage: a decoder for looking at its latents."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from envs.render import render
from grasp_bench.models.compact import CompactWorldModel, pixel_centres
from grasp_bench.training.data import Demonstrations
from grasp_bench.training.dynamics import visual_features
from grasp_bench.training.loop import LossFunction

DECODED_PIXELS = 512  # of a frame, per step


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
    points = visual_features(model, states).reshape(len(states), -1, 2).to(device)
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
