"""The whole training run: encoder, latents, predictor, decoder, report, checkpoint.

Every stage keeps its state in the run's folder; the same command again goes on where the
last one stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from envs.render import render
from grasp_bench.errors import UserError
from grasp_bench.machine import describe_machine
from grasp_bench.models.checkpoint import find_device, load_model, save_checkpoint
from grasp_bench.models.compact import CompactWorldModel
from grasp_bench.models.jepa import JepaWorldModel
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.patch import PatchWorldModel
from grasp_bench.models.vision import DinoEncoder, PatchEncoder
from grasp_bench.results import write_atomically
from grasp_bench.training.data import Demonstrations, load_demonstrations
from grasp_bench.training.decoder import decoder_loss
from grasp_bench.training.dynamics import (
    LatentEpisodes,
    dynamics_loss,
    encode_episodes,
    set_agent_statistics,
    set_statistics,
)
from grasp_bench.training.encoder import FramePool, equivariance_loss, supervised_loss
from grasp_bench.training.jepa import JointEmbedding, joint_embedding_loss, pooled
from grasp_bench.training.loop import Trained, train
from grasp_bench.training.probes import model_report
from grasp_bench.training.recipe import AnyRecipe, CompactRecipe, JepaRecipe, PatchRecipe, Recipe
from grasp_bench.training.vision import (
    Autoencoder,
    load_dino_weights,
    masked_prediction_loss,
    reconstruction_loss,
)

# Stage, step, steps, losses.
Report = Callable[[str, int, int, dict[str, float]], None]

SUPERVISION = {
    "labels": "the encoder was trained on the simulator's keypoints as labels; "
    "planning uses pixels and proprioception only",
    "equivariance": "self-supervised: the encoder was trained on pixels alone",
    "masking": "self-supervised: the encoder was trained on pixels alone, by masked prediction",
    "dinov2": "self-supervised: the encoder is a pretrained DINOv2, frozen",
    "jepa": "self-supervised: masked prediction, then joint-embedding prediction on pixels, "
    "proprioception and actions",
}


def _silent(stage: str, step: int, steps: int, losses: dict[str, float]) -> None:
    pass


def _random_frames(recipe: CompactRecipe | PatchRecipe, data: Demonstrations) -> np.ndarray:
    states = data.states.reshape(-1, data.states.shape[-1])
    rng = np.random.default_rng(recipe.seed)
    rows = rng.choice(len(states), min(recipe.pool_frames, len(states)), replace=False)
    return np.asarray(states[np.sort(rows)])


def train_encoder(
    model: CompactWorldModel,
    recipe: CompactRecipe,
    data: Demonstrations,
    folder: Path,
    report: Report = _silent,
) -> Trained:
    """The compact model's encoder, in place, from labels or by equivariance."""
    pool = FramePool(_random_frames(recipe, data), model.image_size)
    model.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = recipe.encoder.batch
    if recipe.objective == "labels":
        loss = supervised_loss(model.encoder, pool, batch)
    else:
        loss = equivariance_loss(model.encoder, pool, batch, recipe.equivariance)
    return train(
        model.encoder,
        loss,
        recipe.encoder,
        folder / "encoder.pt",
        recipe.seed,
        _named(report, "encoder"),
    )


def train_vision(
    model: PatchWorldModel,
    recipe: PatchRecipe,
    data: Demonstrations,
    folder: Path,
    report: Report = _silent,
) -> Trained:
    """The patch model's encoder and decoder, in place, by masked prediction.

    A DINOv2 encoder is loaded instead, and only the decoder learns.
    """
    pixels = torch.from_numpy(render(_random_frames(recipe, data), model.image_size))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = recipe.vision.batch
    learner: nn.Module
    if isinstance(model.encoder, PatchEncoder):
        learner = autoencoder = Autoencoder(model.encoder, model.decoder)
        loss = masked_prediction_loss(autoencoder, pixels, batch, recipe.masking)
    else:
        assert isinstance(model.encoder, DinoEncoder)
        assert recipe.dinov2 is not None
        load_dino_weights(model.encoder, recipe.dinov2)
        learner = model.decoder
        loss = reconstruction_loss(model.encoder, model.decoder, pixels, batch)
    return train(
        learner,
        loss,
        recipe.vision,
        folder / "vision.pt",
        recipe.seed,
        _named(report, "vision"),
    )


def encode(
    model: LatentWorldModel, recipe: Recipe, data: Demonstrations, folder: Path, report: Report
) -> LatentEpisodes:
    """The episodes' features, encoded once and kept in `folder`."""
    report("latents", 0, 1, {})
    episodes = encode_episodes(model, data, folder / "latents.npz", recipe.seed)
    report("latents", 1, 1, {})
    return episodes


def train_dynamics(
    model: LatentWorldModel, recipe: Recipe, episodes: LatentEpisodes, folder: Path, report: Report
) -> Trained:
    """The predictor, in place, after setting the model's normalisation."""
    set_statistics(model, episodes)
    return train(
        model.predictor,
        dynamics_loss(model, episodes, recipe.dynamics.batch, recipe.rollout),
        recipe.dynamics,
        folder / "dynamics.pt",
        recipe.seed + 1,
        _named(report, "dynamics"),
    )


def train_decoder(
    model: CompactWorldModel,
    recipe: CompactRecipe,
    data: Demonstrations,
    folder: Path,
    report: Report,
) -> Trained:
    """The compact model's decoder, in place."""
    seed, schedule = recipe.seed + 2, recipe.decoder
    return train(
        model.decoder,
        decoder_loss(model, data, recipe.decoder_frames, schedule.batch, seed),
        schedule,
        folder / "decoder.pt",
        seed,
        _named(report, "decoder"),
    )


def _named(report: Report, stage: str) -> Callable[[int, int, dict[str, float]], None]:
    return lambda step, steps, losses: report(stage, step, steps, losses)


def _train_compact(
    recipe: CompactRecipe, device: torch.device, data: Demonstrations, folder: Path, report: Report
) -> tuple[CompactWorldModel, str, dict[str, Trained]]:
    model = CompactWorldModel(recipe.architecture).to(device)
    stages = {
        "encoder": train_encoder(model, recipe, data, folder, report),
        "dynamics": train_dynamics(
            model, recipe, encode(model, recipe, data, folder, report), folder, report
        ),
        "decoder": train_decoder(model, recipe, data, folder, report),
    }
    return model, SUPERVISION[recipe.objective], stages


def _train_patch(
    recipe: PatchRecipe, device: torch.device, data: Demonstrations, folder: Path, report: Report
) -> tuple[PatchWorldModel, str, dict[str, Trained]]:
    model = PatchWorldModel(recipe.architecture).to(device)
    stages = {"vision": train_vision(model, recipe, data, folder, report)}
    model.encoder.requires_grad_(False)
    episodes = encode(model, recipe, data, folder, report)
    stages["dynamics"] = train_dynamics(model, recipe, episodes, folder, report)
    return model, SUPERVISION["masking" if recipe.dinov2 is None else "dinov2"], stages


def _train_jepa(
    recipe: JepaRecipe, device: torch.device, data: Demonstrations, folder: Path, report: Report
) -> tuple[JepaWorldModel, str, dict[str, Trained]]:
    patch = load_model(recipe.encoder_from, str(device)).model
    if not isinstance(patch, PatchWorldModel):
        raise UserError(f"'{recipe.encoder_from}' is no patch world model to take an encoder from")
    model = JepaWorldModel(recipe.architecture).to(device)
    model.encoder.load_state_dict(patch.encoder.state_dict())
    model.encoder.requires_grad_(False)
    tokens = encode(patch, recipe, data, folder, report)
    channels = recipe.architecture.channels
    model.head.token_mean.copy_(patch.visual_mean[:channels])
    model.head.token_std.copy_(patch.visual_std[:channels])
    set_agent_statistics(model, tokens)
    learner = JointEmbedding(model.head, model.predictor)
    batch = recipe.embedding.batch
    stages = {
        "embedding": train(
            learner,
            joint_embedding_loss(model, tokens, batch, recipe.objective),
            recipe.embedding,
            folder / "embedding.pt",
            recipe.seed,
            _named(report, "embedding"),
        )
    }
    stages["dynamics"] = train_dynamics(model, recipe, pooled(model, tokens), folder, report)
    return model, SUPERVISION["jepa"], stages


def train_world_model(
    recipe: AnyRecipe,
    data_folder: Path,
    held_out_folder: Path,
    folder: Path,
    output: Path,
    command: str,
    device: str = "cpu",
    report: Report = _silent,
) -> dict[str, Any]:
    """Train a world model and write its checkpoint; resumable.

    Args:
        recipe: what to train.
        data_folder: training demonstrations, from `collect`.
        held_out_folder: demonstrations for the report in the card.
        folder: where the run keeps its state.
        output: the checkpoint to write, `.safetensors`.
        command: how the user started the run, for the card.
        device: "cpu" or "cuda".
        report: called as stages proceed.

    Returns:
        The checkpoint's card.

    Raises:
        UserError: missing data, no such device, or `folder` holds another run.
    """
    target = find_device(device)
    if output.suffix != ".safetensors":
        raise UserError(f"--out {output}: a checkpoint's name ends in .safetensors")
    data = load_demonstrations(data_folder, "train", recipe.episodes)
    held_out = load_demonstrations(held_out_folder, "held-out")
    output.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    _agree(folder / "run.json", {"recipe": recipe.to_json(), "data": data.fingerprint()})

    torch.manual_seed(recipe.seed)
    begin = time.monotonic()
    model: LatentWorldModel
    if isinstance(recipe, JepaRecipe):
        model, supervision, stages = _train_jepa(recipe, target, data, folder, report)
    elif isinstance(recipe, PatchRecipe):
        model, supervision, stages = _train_patch(recipe, target, data, folder, report)
    else:
        model, supervision, stages = _train_compact(recipe, target, data, folder, report)
    report("evaluation", 0, 1, {})
    model.eval().requires_grad_(False)
    evaluation = model_report(model, data, held_out)
    report("evaluation", 1, 1, {})
    card = {
        "supervision": supervision,
        "command": command,
        "recipe": recipe.to_json(),
        "data": {
            "episodes": len(data.states),
            "steps": data.actions.shape[1],
            "split": "train",
            "sha256": data.fingerprint(),
        },
        "normalisation": {
            name: value.tolist()
            for name, value in model.named_buffers()
            if name.endswith(("_mean", "_std"))
        },
        "held_out": evaluation,
        "training_seconds": {name: round(stage.seconds) for name, stage in stages.items()},
        "last_session_seconds": round(time.monotonic() - begin),
        "environment": asdict(describe_machine(device)),
        "curves": {name: stage.curve for name, stage in stages.items()},
    }
    return save_checkpoint(model, output, card)


def _agree(path: Path, run: dict[str, Any]) -> None:
    """Hold a run against the one its folder was begun with, or write it down in a new one."""
    wanted = json.dumps(run, indent=1).encode()
    if not path.exists():
        write_atomically(path, wanted)
    elif path.read_bytes() != wanted:
        raise UserError(
            f"{path.parent} holds a run of another recipe or data: train into another folder"
        )
