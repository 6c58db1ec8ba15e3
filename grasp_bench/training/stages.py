"""The stages of each kind of world model, in order; every stage resumes in the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from envs.render import render
from grasp_bench.errors import UserError
from grasp_bench.models.checkpoint import load_model
from grasp_bench.models.compact import CompactWorldModel
from grasp_bench.models.jepa import JepaWorldModel
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.patch import PatchWorldModel
from grasp_bench.models.pose import PoseWorldModel
from grasp_bench.models.vision import DinoEncoder, PatchEncoder
from grasp_bench.training.data import Demonstrations
from grasp_bench.training.decoder import decoder_loss
from grasp_bench.training.dynamics import (
    DynamicsObjective,
    LatentEpisodes,
    Source,
    dynamics_loss,
    encode_episodes,
    set_agent_statistics,
    set_statistics,
)
from grasp_bench.training.encoder import FramePool, equivariance_loss, supervised_loss
from grasp_bench.training.jepa import JointEmbedding, joint_embedding_loss, pooled
from grasp_bench.training.loop import LossFunction, Schedule, Trained, train
from grasp_bench.training.recipe import (
    AnyRecipe,
    CompactRecipe,
    JepaRecipe,
    PatchRecipe,
    PoseRecipe,
)
from grasp_bench.training.redraw import (
    TokenAutoencoder,
    agreement_loss,
    codes,
    hinted_loss,
    hints,
    pose_autoencoder,
    redraw_loss,
    scene_autoencoder,
)
from grasp_bench.training.vision import (
    Autoencoder,
    load_dino_weights,
    masked_prediction_loss,
    reconstruction_loss,
)

# Stage, step, steps, losses.
Report = Callable[[str, int, int, dict[str, float]], None]


def silent(stage: str, step: int, steps: int, losses: dict[str, float]) -> None:
    """A report that goes nowhere."""


@dataclass(frozen=True)
class TrainingRun:
    """What every stage needs beside its recipe.

    Attributes:
        data: training demonstrations.
        folder: where the run keeps its state.
        device: where the model lives.
        report: called as stages proceed.
    """

    data: Demonstrations
    folder: Path
    device: torch.device
    report: Report = silent

    def train(
        self, stage: str, learner: nn.Module, loss: LossFunction, schedule: Schedule, seed: int
    ) -> Trained:
        """Train the learner in place, with its state in the run's folder."""
        return train(
            learner,
            loss,
            schedule,
            self.folder / f"{stage}.pt",
            seed,
            lambda step, steps, losses: self.report(stage, step, steps, losses),
        )

    def random_frames(self, count: int, seed: int) -> np.ndarray:
        """States [count, 7] of random frames of the data; fewer if there are fewer."""
        states = self.data.states.reshape(-1, self.data.states.shape[-1])
        rng = np.random.default_rng(seed)
        rows = rng.choice(len(states), min(count, len(states)), replace=False)
        return np.asarray(states[np.sort(rows)])

    def encode(self, model: LatentWorldModel, seed: int) -> LatentEpisodes:
        """The episodes' features, encoded once and kept in the run's folder."""
        self.report("latents", 0, 1, {})
        episodes = encode_episodes(model, self.data, self.folder / "latents.npz", seed)
        self.report("latents", 1, 1, {})
        return episodes


Outcome = tuple[LatentWorldModel, str, dict[str, Trained]]


def train_stages(recipe: AnyRecipe, run: TrainingRun) -> Outcome:
    """The trained model, a sentence on its supervision, and what each stage left behind.

    Raises:
        UserError: the recipe names weights that are not there.
    """
    if isinstance(recipe, JepaRecipe):
        return _train_jepa(recipe, run)
    if isinstance(recipe, PoseRecipe):
        return _train_pose(recipe, run)
    if isinstance(recipe, PatchRecipe):
        return _train_patch(recipe, run)
    return _train_compact(recipe, run)


def _train_compact(recipe: CompactRecipe, run: TrainingRun) -> Outcome:
    model = CompactWorldModel(recipe.architecture).to(run.device)
    stages = {"encoder": _train_encoder(model, recipe, run)}
    episodes = run.encode(model, recipe.seed)
    stages["dynamics"] = _train_dynamics(
        model, recipe.dynamics, recipe.rollout, episodes, run, recipe.seed + 1
    )
    batch, seed = recipe.decoder.batch, recipe.seed + 2
    loss = decoder_loss(model, run.data, recipe.decoder_frames, batch, seed)
    stages["decoder"] = run.train("decoder", model.decoder, loss, recipe.decoder, seed)
    if recipe.objective == "labels":
        supervision = (
            "the encoder was trained on the simulator's keypoints as labels; "
            "planning uses pixels and proprioception only"
        )
    else:
        supervision = "self-supervised: the encoder was trained on pixels alone"
    return model, supervision, stages


def _train_encoder(model: CompactWorldModel, recipe: CompactRecipe, run: TrainingRun) -> Trained:
    pool = FramePool(run.random_frames(recipe.pool_frames, recipe.seed), model.image_size)
    model.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = recipe.encoder.batch
    if recipe.objective == "labels":
        loss = supervised_loss(model.encoder, pool, batch)
    else:
        loss = equivariance_loss(model.encoder, pool, batch, recipe.equivariance)
    return run.train("encoder", model.encoder, loss, recipe.encoder, recipe.seed)


def _train_patch(recipe: PatchRecipe, run: TrainingRun) -> Outcome:
    model = PatchWorldModel(recipe.architecture).to(run.device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    frames = run.random_frames(recipe.pool_frames, recipe.seed)
    pixels = torch.from_numpy(render(frames, model.image_size))
    batch = recipe.vision.batch
    if isinstance(model.encoder, PatchEncoder):
        autoencoder = Autoencoder(model.encoder, model.decoder)
        learner: nn.Module = autoencoder
        loss = masked_prediction_loss(autoencoder, pixels, batch, recipe.masking)
        supervision = (
            "self-supervised: the encoder was trained on pixels alone, by masked prediction"
        )
    else:
        assert isinstance(model.encoder, DinoEncoder)
        assert recipe.dinov2 is not None
        load_dino_weights(model.encoder, recipe.dinov2)
        learner = model.decoder
        loss = reconstruction_loss(model.encoder, model.decoder, pixels, batch)
        supervision = "self-supervised: the encoder is a pretrained DINOv2, frozen"
    stages = {"vision": run.train("vision", learner, loss, recipe.vision, recipe.seed)}
    model.encoder.requires_grad_(False)
    episodes = run.encode(model, recipe.seed)
    set_statistics(model, episodes)
    stages |= _train_redrawing(model, recipe, episodes, run)
    poses = PoseWorldModel(model.config, model).to(run.device)
    read = codes(model.predictor.reader, model, episodes)
    seed = recipe.seed + 1
    stages["dynamics"] = _train_dynamics(poses, recipe.dynamics, recipe.rollout, read, run, seed)
    stages["longer"] = _train_dynamics(
        poses, recipe.longer, recipe.longer_rollout, read, run, seed, "longer"
    )
    model.predictor.pose_mean.copy_(poses.visual_mean)
    model.predictor.pose_std.copy_(poses.visual_std)
    stages["agreement"] = _train_agreement(model, recipe, episodes, run)
    return model, supervision, stages


def _train_redrawing(
    model: PatchWorldModel, recipe: PatchRecipe, episodes: LatentEpisodes, run: TrainingRun
) -> dict[str, Trained]:
    redrawing, noise = recipe.redrawing, recipe.redrawing.noise
    scene = scene_autoencoder(model, redrawing)
    loss = redraw_loss(scene, model, episodes, recipe.scene.batch, noise)
    stages = {"scene": run.train("scene", scene, loss, recipe.scene, recipe.seed + 3)}
    run.report("directions", 0, 1, {})
    cache = run.folder / "directions.npy"
    directed = hints(scene, model, episodes, redrawing, cache, recipe.seed)
    run.report("directions", 1, 1, {})
    pose = pose_autoencoder(model, scene)
    loss = hinted_loss(pose, model, episodes, recipe.hinted.batch, noise, directed)
    stages["hinted"] = run.train("hinted", pose, loss, recipe.hinted, recipe.seed + 4)
    batch = recipe.redraw.batch
    loss = redraw_loss(pose, model, episodes, batch, noise, redrawing.agreement)
    stages["redraw"] = run.train("redraw", pose, loss, recipe.redraw, recipe.seed + 5)
    return stages


def _train_agreement(
    model: PatchWorldModel, recipe: PatchRecipe, episodes: LatentEpisodes, run: TrainingRun
) -> Trained:
    predictor = model.predictor
    predictor.reader.requires_grad_(False)  # the dynamics know its poses by now
    pose = TokenAutoencoder(predictor.reader, predictor.drawer)
    batch, weight = recipe.agreement.batch, recipe.redrawing.final_agreement
    loss = agreement_loss(pose, model, episodes, batch, weight)
    return run.train("agreement", predictor.drawer, loss, recipe.agreement, recipe.seed + 2)


def _train_pose(recipe: PoseRecipe, run: TrainingRun) -> Outcome:
    patch = _patch_model(recipe.patch_from, run)
    supervision = "self-supervised: masked prediction on pixels, then poses that redraw the tokens"
    return PoseWorldModel(patch.config, patch).to(run.device), supervision, {}


def _patch_model(name: str, run: TrainingRun) -> PatchWorldModel:
    patch = load_model(name, str(run.device)).model
    if not isinstance(patch, PatchWorldModel):
        raise UserError(f"'{name}' is no patch world model to begin with")
    return patch


def _train_jepa(recipe: JepaRecipe, run: TrainingRun) -> Outcome:
    patch = _patch_model(recipe.encoder_from, run)
    model = JepaWorldModel(recipe.architecture).to(run.device)
    model.encoder.load_state_dict(patch.encoder.state_dict())
    model.encoder.requires_grad_(False)
    tokens = run.encode(patch, recipe.seed)
    channels = recipe.architecture.channels
    model.head.token_mean.copy_(patch.visual_mean[:channels])
    model.head.token_std.copy_(patch.visual_std[:channels])
    set_agent_statistics(model, tokens)
    learner = JointEmbedding(model.head, model.predictor)
    loss = joint_embedding_loss(model, tokens, recipe.embedding.batch, recipe.objective)
    stages = {"embedding": run.train("embedding", learner, loss, recipe.embedding, recipe.seed)}
    stages["dynamics"] = _train_dynamics(
        model, recipe.dynamics, recipe.rollout, pooled(model, tokens), run, recipe.seed + 1
    )
    supervision = (
        "self-supervised: masked prediction on pixels, then joint-embedding prediction on "
        "pixels, proprioception and actions"
    )
    return model, supervision, stages


def _train_dynamics(
    model: LatentWorldModel,
    schedule: Schedule,
    objective: DynamicsObjective,
    episodes: LatentEpisodes,
    run: TrainingRun,
    seed: int,
    stage: str = "dynamics",
) -> Trained:
    set_statistics(model, episodes)
    loss = dynamics_loss(model, [Source(episodes, schedule.batch)], objective)
    return run.train(stage, model.predictor, loss, schedule, seed)
