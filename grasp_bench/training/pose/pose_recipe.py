"""The recipe of the pose model: tokens, a pose that is read from them, and its dynamics."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from grasp_bench.envs.pusht import PUSHT
from grasp_bench.models.pose import PoseConfig, PoseWorldModel
from grasp_bench.training.dynamics import LatentEpisodes, set_statistics
from grasp_bench.training.loop import Schedule, Trained
from grasp_bench.training.picture_loss import picture_loss
from grasp_bench.training.pose.token_autoencoder import (
    codes,
    hints,
    pose_autoencoder,
    redraw_loss,
    scene_autoencoder,
)
from grasp_bench.training.pose.token_model import TokenModel
from grasp_bench.training.training_run import Recipe, TrainedModel, TrainingRun

_AGREEMENT = 30.0  # weight of the error of the pose that is read from the drawn tokens


@dataclass(frozen=True, kw_only=True)
class PoseRecipe(Recipe):
    """Holds and runs the training of the pose world model.

    Attributes:
        architecture: the model.
        pool_frames: frames that the encoder is pretrained on.
        vision: schedule of the pretraining.
        scene: schedule of the autoencoder with a free code.
        scene_code: free numbers of that code.
        landmarks: codes that directions are computed from.
        hinted, redraw: schedules of the autoencoder with a pose, with and without hints.
        dynamics: schedule of the predictor on poses; it rolls out `unroll` model steps.
        longer: the same for rollouts of `longer_unroll` steps afterwards.
    """

    architecture: PoseConfig = field(default_factory=PoseConfig)
    pool_frames: int = 200_000
    vision: Schedule = Schedule(steps=6_000, batch=64, learning_rate=2e-3, average=0.995)
    scene: Schedule = Schedule(steps=4_000, batch=128, learning_rate=3e-3)
    scene_code: int = 32
    landmarks: int = 12_000
    hinted: Schedule = Schedule(steps=1_500, batch=128, learning_rate=3e-3)
    redraw: Schedule = Schedule(steps=6_000, batch=128, learning_rate=2e-3, average=0.998)
    dynamics: Schedule = Schedule(steps=20_000, batch=256, learning_rate=1.5e-3, average=0.999)
    unroll: int = 4
    longer: Schedule = Schedule(steps=6_000, batch=256, learning_rate=5e-4, average=0.999)
    longer_unroll: int = 8

    def train(self, run: TrainingRun) -> TrainedModel:
        """Trains encoder and decoder, then reader and drawer, then the predictor on poses."""
        model = PoseWorldModel(self.architecture).to(run.device)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        stages = {"vision": self._train_vision(model, run)}
        model.encoder.requires_grad_(False)
        tokens = TokenModel(model).to(run.device)
        episodes = run.encode(tokens, self.seed)
        set_statistics(tokens, episodes)
        model.token_mean.copy_(tokens.visual_mean)
        model.token_std.copy_(tokens.visual_std)
        stages |= self._train_reading(model, tokens, episodes, run)
        poses = codes(model.reader, tokens, episodes)
        for name, schedule, unroll in (
            ("dynamics", self.dynamics, self.unroll),
            ("longer", self.longer, self.longer_unroll),
        ):
            stages[name] = run.train_dynamics(name, model, poses, schedule, unroll, self.seed + 1)
        supervision = (
            "self-supervised: masked prediction on pixels, then poses that redraw the tokens"
        )
        return TrainedModel(model, supervision, stages)

    def _train_vision(self, model: PoseWorldModel, run: TrainingRun) -> Trained:
        frames = run.random_frames(self.pool_frames, self.seed)
        pixels = PUSHT.observe(frames, model.view).pixels
        learner = nn.ModuleDict({"encoder": model.encoder, "decoder": model.decoder})
        loss = picture_loss(model.encoder, model.decoder, pixels, self.vision.batch)
        return run.train("vision", learner, loss, self.vision, self.seed)

    def _train_reading(
        self, model: PoseWorldModel, tokens: TokenModel, episodes: LatentEpisodes, run: TrainingRun
    ) -> dict[str, Trained]:
        scene, seed = scene_autoencoder(model, self.scene_code), self.seed
        loss = redraw_loss(scene, tokens, episodes, self.scene.batch)
        stages = {"scene": run.train("scene", scene, loss, self.scene, seed + 3)}
        run.report("directions", 0, 1, {})
        cache = run.folder / "directions.safetensors"
        directed = hints(scene, tokens, episodes, self.landmarks, cache, seed)
        run.report("directions", 1, 1, {})
        pose = pose_autoencoder(model, scene)
        loss = redraw_loss(pose, tokens, episodes, self.hinted.batch, hinted=directed)
        stages["hinted"] = run.train("hinted", pose, loss, self.hinted, seed + 4)
        loss = redraw_loss(pose, tokens, episodes, self.redraw.batch, agreement=_AGREEMENT)
        stages["redraw"] = run.train("redraw", pose, loss, self.redraw, seed + 5)
        return stages
