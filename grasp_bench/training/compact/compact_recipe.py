"""The compact model's recipe: keypoint encoder, then predictor, then decoder."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from grasp_bench.envs.pusht import PUSHT
from grasp_bench.models.compact import CompactConfig, CompactWorldModel, pixel_centres
from grasp_bench.training.compact.keypoints import keypoint_loss
from grasp_bench.training.dynamics import visual_features
from grasp_bench.training.loop import LossFunction, Schedule
from grasp_bench.training.training_run import Recipe, TrainedModel, TrainingRun

_DECODED_PIXELS = 512  # of a frame, per step


@dataclass(frozen=True, kw_only=True)
class CompactRecipe(Recipe):
    """Holds and runs the training of the compact world model.

    Attributes:
        architecture: the model.
        pool_frames: frames that the encoder learns from.
        decoder_frames: frames that the decoder learns from.
        encoder, dynamics, decoder: schedules of the stages.
        unroll: model steps of the predictor's rollouts.
    """

    architecture: CompactConfig = field(default_factory=CompactConfig)
    pool_frames: int = 150_000
    decoder_frames: int = 20_000
    encoder: Schedule = Schedule(steps=2_000, batch=128, learning_rate=2e-3, average=0.995)
    dynamics: Schedule = Schedule(steps=14_000, batch=256, learning_rate=1.5e-3, average=0.999)
    unroll: int = 4
    decoder: Schedule = Schedule(steps=6_000, batch=16, learning_rate=3e-3)

    def train(self, run: TrainingRun) -> TrainedModel:
        """Trains the encoder on keypoints, then the predictor on latents, then the decoder."""
        model, seed = CompactWorldModel(self.architecture).to(run.device), self.seed
        model.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        states = run.random_frames(self.pool_frames, seed)
        loss = keypoint_loss(model.encoder, states, model.view, self.encoder.batch)
        encoder = run.train("encoder", model.encoder, loss, self.encoder, seed)
        episodes = run.encode(model, seed)
        dynamics = run.train_dynamics(
            "dynamics", model, episodes, self.dynamics, self.unroll, seed + 1
        )
        states = run.random_frames(self.decoder_frames, seed + 2)
        loss = decoder_loss(model, states, self.decoder.batch)
        decoder = run.train("decoder", model.decoder, loss, self.decoder, seed + 2)
        supervision = (
            "the encoder was trained on the simulator's keypoints as labels; "
            "planning uses pixels and proprioception only"
        )
        stages = {"encoder": encoder, "dynamics": dynamics, "decoder": decoder}
        return TrainedModel(model, supervision, stages)


def decoder_loss(model: CompactWorldModel, states: np.ndarray, batch: int) -> LossFunction:
    """Returns the squared error of random pixels of encoded frames.

    A pixel that is not background weighs ten times as much as one that is.

    Args:
        model: its decoder learns; its encoder is frozen.
        states: [N, 7] of the frames to draw batches from.
        batch: frames a step.
    """
    device = model.visual_mean.device
    colours = PUSHT.observe(states, model.view).pixels.flatten(1, 2)
    points = visual_features(model, states).reshape(len(states), -1, 2).to(device)
    places = pixel_centres(model.view.size)[0]

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = torch.randint(len(colours), (batch, 1), generator=generator)
        chosen = torch.randint(len(places), (batch, _DECODED_PIXELS), generator=generator)
        target = colours[rows, chosen].to(device).float() / 255
        weight = 1 + 9 * (target.amin(-1, keepdim=True) < 0.98).float()
        drawn = model.decoder(points[rows[:, 0]], places[chosen].to(device))
        return (weight * (drawn - target) ** 2).mean(), {}

    return loss
