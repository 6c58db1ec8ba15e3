"""Recipes of the patch model (tokens, a pose read from them, its dynamics) and the pose model."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from grasp_bench.core.errors import UserError
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.models.dinov2 import load_dino_weights
from grasp_bench.models.loading import load_model
from grasp_bench.models.patch import PatchConfig, PatchWorldModel
from grasp_bench.models.patch_encoder import DinoEncoder
from grasp_bench.models.pose import PoseWorldModel
from grasp_bench.training.dynamics import LatentEpisodes, set_statistics
from grasp_bench.training.loop import Schedule, Trained
from grasp_bench.training.picture_loss import picture_loss
from grasp_bench.training.pose.token_autoencoder import (
    NOISE,
    TokenAutoencoder,
    codes,
    hints,
    pose_autoencoder,
    redraw_loss,
    scene_autoencoder,
)
from grasp_bench.training.training_run import Recipe, TrainedModel, TrainingRun

# Weights of the error of the pose that is read from the drawn tokens: while reader and drawer
# learn together, and while the drawer learns on alone.
_AGREEMENT, _FINAL_AGREEMENT = 30.0, 1000.0


@dataclass(frozen=True, kw_only=True)
class PatchRecipe(Recipe):
    """Holds and runs the training of the patch world model.

    Attributes:
        architecture: the model.
        pool_frames: frames that the encoder is pretrained on.
        dinov2: name or folder of DINOv2 weights that replace the pretraining; the
            architecture then holds their configuration (`catalogue.with_dinov2`).
        vision: schedule of the pretraining; with DINOv2, of the decoder alone.
        scene: schedule of the autoencoder with a free code.
        scene_code: free numbers of that code.
        landmarks: codes that directions are computed from.
        hinted, redraw: schedules of the autoencoder with a pose, with and without hints.
        dynamics: schedule of the predictor on poses; it rolls out `unroll` model steps.
        longer: the same for rollouts of `longer_unroll` steps afterwards.
        agreement: schedule of the drawer that learns to be read as it was told to draw.
    """

    architecture: PatchConfig = field(default_factory=PatchConfig)
    pool_frames: int = 200_000
    dinov2: str | None = None
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
    agreement: Schedule = Schedule(steps=3_000, batch=128, learning_rate=1e-3, average=0.998)

    def train(self, run: TrainingRun) -> TrainedModel:
        """Trains encoder and decoder, then reader and drawer, then the predictor on poses."""
        model = PatchWorldModel(self.architecture).to(run.device)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        supervision, vision = self._train_vision(model, run)
        stages = {"vision": vision}
        model.encoder.requires_grad_(False)
        episodes = run.encode(model, self.seed)
        set_statistics(model, episodes)
        stages |= self._train_redrawing(model, episodes, run)
        stages |= self._train_poses(model, episodes, run)
        predictor = model.predictor
        predictor.reader.requires_grad_(False)  # the dynamics already rely on its poses
        pose = TokenAutoencoder(predictor.reader, predictor.drawer)
        batch = self.agreement.batch
        loss = redraw_loss(pose, model, episodes, batch, agreement=_FINAL_AGREEMENT)
        stages["agreement"] = run.train(
            "agreement", predictor.drawer, loss, self.agreement, self.seed + 2
        )
        return TrainedModel(model, supervision, stages)

    def _train_vision(self, model: PatchWorldModel, run: TrainingRun) -> tuple[str, Trained]:
        frames = run.random_frames(self.pool_frames, self.seed)
        pixels = PUSHT.observe(frames, model.view).pixels
        if isinstance(model.encoder, DinoEncoder):
            assert self.dinov2 is not None
            load_dino_weights(model.encoder, self.dinov2)
            learner: nn.Module = model.decoder
            encoder = "is a pretrained DINOv2, frozen"
        else:
            learner = nn.ModuleDict({"encoder": model.encoder, "decoder": model.decoder})
            encoder = "was trained on pixels alone, by masked prediction"
        loss = picture_loss(model.encoder, model.decoder, pixels, self.vision.batch)
        trained = run.train("vision", learner, loss, self.vision, self.seed)
        return f"self-supervised: the encoder {encoder}", trained

    def _train_redrawing(
        self, model: PatchWorldModel, episodes: LatentEpisodes, run: TrainingRun
    ) -> dict[str, Trained]:
        scene, seed = scene_autoencoder(model, self.scene_code), self.seed
        loss = redraw_loss(scene, model, episodes, self.scene.batch, NOISE)
        stages = {"scene": run.train("scene", scene, loss, self.scene, seed + 3)}
        run.report("directions", 0, 1, {})
        cache = run.folder / "directions.safetensors"
        directed = hints(scene, model, episodes, self.landmarks, cache, seed)
        run.report("directions", 1, 1, {})
        pose = pose_autoencoder(model, scene)
        loss = redraw_loss(pose, model, episodes, self.hinted.batch, NOISE, hinted=directed)
        stages["hinted"] = run.train("hinted", pose, loss, self.hinted, seed + 4)
        loss = redraw_loss(pose, model, episodes, self.redraw.batch, NOISE, _AGREEMENT)
        stages["redraw"] = run.train("redraw", pose, loss, self.redraw, seed + 5)
        return stages

    def _train_poses(
        self, model: PatchWorldModel, episodes: LatentEpisodes, run: TrainingRun
    ) -> dict[str, Trained]:
        poses, predictor = PoseWorldModel(model.config, model).to(run.device), model.predictor
        read = codes(predictor.reader, model, episodes)
        stages = {
            name: run.train_dynamics(name, poses, read, schedule, unroll, self.seed + 1)
            for name, schedule, unroll in (
                ("dynamics", self.dynamics, self.unroll),
                ("longer", self.longer, self.longer_unroll),
            )
        }
        predictor.pose_mean.copy_(poses.visual_mean)
        predictor.pose_std.copy_(poses.visual_std)
        return stages


@dataclass(frozen=True, kw_only=True)
class PoseRecipe(Recipe):
    """Makes the pose world model of a patch model's parts.

    Attributes:
        patch_from: the patch checkpoint, by name or path.
    """

    patch_from: str = "pusht-patch"

    def train(self, run: TrainingRun) -> TrainedModel:
        """Takes encoder, reader, dynamics, drawer and decoder from the patch model."""
        patch = load_model(self.patch_from, str(run.device)).model
        if not isinstance(patch, PatchWorldModel):
            raise UserError(f"'{self.patch_from}' is not a patch world model")
        model = PoseWorldModel(patch.config, patch).to(run.device)
        supervision = (
            "self-supervised: masked prediction on pixels, then poses that redraw the tokens"
        )
        return TrainedModel(model, supervision, {})
