"""Trains an action prior on a world model's latents of demonstrations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.models.checkpoint import find_checkpoint
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.loading import load_model
from grasp_bench.models.prior import MixturePrior, PriorConfig, prior_path, save_prior
from grasp_bench.tasks.demonstrations import load_demonstrations
from grasp_bench.training.dynamics import LatentEpisodes, encode_episodes
from grasp_bench.training.loop import LossFunction, Schedule
from grasp_bench.training.training_run import Report, Settings, TrainingRun, silent

_HELD_OUT_WINDOWS = 4_096
_REPORTED_STEPS = (1, 4, 8, 16)
_READ_EPISODES = 200


@dataclass(frozen=True, kw_only=True)
class PriorRecipe(Settings):
    """Holds everything that decides what a prior's training produces.

    Attributes:
        schedule: of the mixture density network.
        width, blocks, components: of `PriorConfig`.
    """

    schedule: Schedule = Schedule(steps=6_000, batch=512, learning_rate=1.5e-3, average=0.998)
    width: int = 256
    blocks: int = 3
    components: int = 5


def train_prior(
    model_name: str,
    recipe: PriorRecipe,
    data_folder: Path,
    held_out_folder: Path,
    folder: Path,
    command: str,
    out: Path | None = None,
    device: str = "cpu",
    report: Report = silent,
) -> tuple[Path, dict[str, Any]]:
    """Trains a model's action prior and writes it with its card; resumes a stopped run.

    Args:
        model_name: a checkpoint, by name or path.
        recipe: decides what is trained.
        data_folder, held_out_folder: demonstrations.
        folder: where the run keeps its state.
        command: how the user started the run, for the card.
        out: the file, `.safetensors`; None for the place where `load_model` finds it.
        device: "cpu" or "cuda".
        report: called as the training proceeds.

    Returns:
        The file's path and the card.

    Raises:
        UserError: there is no such model, data is missing, or `folder` holds another run.
    """
    loaded = load_model(model_name, device)
    model = loaded.model
    if not isinstance(model, LatentWorldModel):
        raise UserError(f"'{model_name}' is not a checkpoint of this package: bring its own prior")
    held_out = load_demonstrations(held_out_folder, "held-out")
    run = TrainingRun.open(recipe, data_folder, folder, device, report, model=loaded.sha256)
    windows = PriorEpisodes.of(model, run.encode(model, recipe.seed))
    unseen = encode_episodes(model, held_out, folder / "held-out.safetensors", recipe.seed)
    config = PriorConfig(
        latent=windows.latents.shape[-1],
        action=model.action_dim,
        components=recipe.components,
        width=recipe.width,
        blocks=recipe.blocks,
    )
    prior = MixturePrior(config).to(run.device)
    loss = prior_loss(prior, windows, recipe.schedule.batch)
    trained = run.train("prior", prior, loss, recipe.schedule, recipe.seed + 1)
    card = {
        "model": loaded.name,
        "model_sha256": loaded.sha256,
        **run.facts(command),
        "held_out": nats_per_action(prior, PriorEpisodes.of(model, unseen)),
        "training_seconds": round(trained.seconds),
        "curve": trained.curve,
    }
    path = out or prior_path(find_checkpoint(model_name))
    return path, save_prior(prior, path, card)


@dataclass(frozen=True)
class PriorEpisodes:
    """Holds episodes as a prior sees them.

    Attributes:
        latents: [N, M + 1, D].
        actions: [N, M, A] normalised.
    """

    latents: Tensor
    actions: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, model: LatentWorldModel, episodes: LatentEpisodes) -> PriorEpisodes:
        """Standardises encoded episodes."""
        rows = torch.split(torch.arange(len(episodes.actions)), _READ_EPISODES)
        parts = [episodes.latents(model, part) for part in rows]
        actions = episodes.actions.to(model.visual_mean.device)
        return cls(torch.cat(parts), model.normalise_actions(actions))


def prior_loss(prior: MixturePrior, episodes: PriorEpisodes, batch: int) -> LossFunction:
    """Returns the negative log likelihood of the first action of windows of 1 to M steps."""

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        windows = draw_windows(episodes, batch, generator)
        return -prior.log_likelihood(*windows).mean(), {}

    return loss


def draw_windows(
    episodes: PriorEpisodes, batch: int, generator: torch.Generator, steps: int | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draws windows of `steps` model steps; None draws a length for each.

    Returns:
        States and goals [B, D], the model steps [B] between them and the first
        action [B, A].
    """
    latents, actions = episodes.latents, episodes.actions
    longest = actions.shape[1]
    episode = torch.randint(len(actions), (batch,), generator=generator)
    length = torch.randint(1, longest + 1, (batch,), generator=generator)
    if steps is not None:
        length = length.fill_(steps)
    share = torch.rand(batch, generator=generator)
    begin = (share * (longest - length + 1)).long().clamp(max=longest - 1)
    state, goal = latents[episode, begin], latents[episode, begin + length]
    return state, goal, length.to(latents.device), actions[episode, begin]


@torch.no_grad()
def nats_per_action(prior: MixturePrior, episodes: PriorEpisodes) -> dict[str, float]:
    """Returns the mean negative log likelihood of held-out actions, by the model steps left.

    Each has that of a standard normal distribution beside it, as a baseline.
    """
    nats = {}
    for steps in _REPORTED_STEPS:
        generator = torch.Generator().manual_seed(0)
        windows = draw_windows(episodes, _HELD_OUT_WINDOWS, generator, steps)
        nats[f"{steps}_steps"] = round(-float(prior.log_likelihood(*windows).mean()), 3)
        action = windows[-1]
        squares = float(action.square().sum(-1).mean())
        standard = 0.5 * (squares + action.shape[-1] * math.log(2 * math.pi))
        nats[f"{steps}_steps_standard_normal"] = round(standard, 3)
    return nats
