"""Training of an action prior on a world model's latents of demonstrations."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from grasp_bench.errors import UserError
from grasp_bench.machine import describe_machine
from grasp_bench.models.checkpoint import find_checkpoint, load_model
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.prior import MixturePrior, PriorConfig
from grasp_bench.models.prior_file import prior_path, save_prior
from grasp_bench.training.data import load_demonstrations
from grasp_bench.training.dynamics import LatentEpisodes, encode_episodes
from grasp_bench.training.loop import LossFunction, Schedule, train
from grasp_bench.training.pipeline import agree
from grasp_bench.training.stages import Report, silent

HELD_OUT_WINDOWS = 4_096
REPORTED_STEPS = (1, 4, 8, 16)
_READ_EPISODES = 200


@dataclass(frozen=True)
class PriorRecipe:
    """What a training run of a prior consists of.

    Attributes:
        episodes: training episodes.
        schedule: of the mixture density network.
        width, blocks, components: of `PriorConfig`.
        seed: of initialisation and of every sample.
    """

    episodes: int = 24_000
    schedule: Schedule = Schedule(steps=6_000, batch=512, learning_rate=1.5e-3, average=0.998)
    width: int = 256
    blocks: int = 3
    components: int = 5
    seed: int = 0

    def changed(self, *, episodes: int | None = None, steps: int | None = None) -> PriorRecipe:
        """This recipe with what is not None in the place of its own."""
        schedule = replace(self.schedule, steps=steps or self.schedule.steps)
        return replace(self, episodes=episodes or self.episodes, schedule=schedule)


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
    """Train a model's action prior and write it with its card; resumable.

    Args:
        model_name: a checkpoint, by name or path.
        recipe: what to train.
        data_folder, held_out_folder: demonstrations.
        folder: where the run keeps its state.
        command: how the user started the run, for the card.
        out: the file, `.safetensors`; by default where `load_model` looks for it.
        device: "cpu" or "cuda".
        report: called as the training proceeds.

    Returns:
        The file's path and the card.

    Raises:
        UserError: no such model, missing data, or `folder` holds another run.
    """
    loaded = load_model(model_name, device)
    model = loaded.model
    if not isinstance(model, LatentWorldModel):
        raise UserError(f"'{model_name}' is not a checkpoint of this package: bring its own prior")
    data = load_demonstrations(data_folder, "train", recipe.episodes)
    held_out = load_demonstrations(held_out_folder, "held-out")
    folder.mkdir(parents=True, exist_ok=True)
    run = {"recipe": asdict(recipe), "model": loaded.sha256, "data": data.fingerprint()}
    agree(folder / "run.json", run)
    report("latents", 0, 1, {})
    episodes = encode_episodes(model, data, folder / "latents.npz", recipe.seed)
    unseen = encode_episodes(model, held_out, folder / "held-out.npz", recipe.seed)
    report("latents", 1, 1, {})
    torch.manual_seed(recipe.seed)
    windows, unseen_windows = (Summaries.of(model, some) for some in (episodes, unseen))
    config = PriorConfig(
        latent=windows.latents.shape[-1],
        action=model.action_dim,
        components=recipe.components,
        width=recipe.width,
        blocks=recipe.blocks,
    )
    prior = MixturePrior(config).to(model.visual_mean.device)
    begin = time.monotonic()
    trained = train(
        prior,
        prior_loss(prior, windows, recipe.schedule.batch),
        recipe.schedule,
        folder / "prior.pt",
        recipe.seed + 1,
        lambda step, steps, losses: report("prior", step, steps, losses),
    )
    card = {
        "command": command,
        "model": loaded.name,
        "model_sha256": loaded.sha256,
        "recipe": asdict(recipe),
        "data": {"episodes": len(data.states), "split": "train", "sha256": data.fingerprint()},
        "held_out": nats_per_action(prior, unseen_windows),
        "training_seconds": round(trained.seconds),
        "last_session_seconds": round(time.monotonic() - begin),
        "environment": asdict(describe_machine(device)),
        "curve": trained.curve,
    }
    path = out or prior_path(find_checkpoint(model_name))
    return path, save_prior(prior, path, card)


@dataclass(frozen=True)
class Summaries:
    """Episodes as a prior sees them.

    Attributes:
        latents: [N, M + 1, S] what `LatentWorldModel.summary` gives.
        actions: [N, M, A] normalised.
    """

    latents: Tensor
    actions: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, model: LatentWorldModel, episodes: LatentEpisodes) -> Summaries:
        """The summaries of encoded episodes."""
        device = model.visual_mean.device
        parts = [
            model.summary(model.latent(features.to(device).float(), proprio.to(device)))
            for features, proprio in zip(
                torch.split(episodes.features, _READ_EPISODES),
                torch.split(episodes.proprio, _READ_EPISODES),
                strict=True,
            )
        ]
        return cls(torch.cat(parts), model.normalise_actions(episodes.actions.to(device)))


# Draws summaries of states and goals [B, S], the model steps [B] between them and the action
# [B, A] taken.
Windows = Callable[[torch.Generator], tuple[Tensor, Tensor, Tensor, Tensor]]


def prior_loss(prior: MixturePrior, summaries: Summaries, batch: int) -> LossFunction:
    """Negative log likelihood of the first action of random windows of 1 to M model steps."""
    draw = window_sampler(summaries, batch)

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        return -prior.log_likelihood(*draw(generator)).mean(), {}

    return loss


def window_sampler(summaries: Summaries, batch: int, steps: int | None = None) -> Windows:
    """Draws windows of `steps` model steps, by default of a random length each."""
    latents, actions = summaries.latents, summaries.actions
    longest = actions.shape[1]

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        episode = torch.randint(len(actions), (batch,), generator=generator)
        length = torch.randint(1, longest + 1, (batch,), generator=generator)
        if steps is not None:
            length = length.fill_(steps)
        share = torch.rand(batch, generator=generator)
        begin = (share * (longest - length + 1)).long().clamp(max=longest - 1)
        end = begin + length
        return (
            latents[episode, begin],
            latents[episode, end],
            length.to(latents.device),
            actions[episode, begin],
        )

    return draw


@torch.no_grad()
def nats_per_action(prior: MixturePrior, summaries: Summaries) -> dict[str, float]:
    """Mean negative log likelihood of held-out actions, by the model steps left.

    Beside it that of a standard normal distribution, which knows nothing.
    """
    nats = {}
    for steps in REPORTED_STEPS:
        draw = window_sampler(summaries, HELD_OUT_WINDOWS, steps)
        windows = draw(torch.Generator().manual_seed(0))
        nats[f"{steps}_steps"] = round(-float(prior.log_likelihood(*windows).mean()), 3)
        action = windows[-1]
        squares = float(action.square().sum(-1).mean())
        standard = 0.5 * (squares + action.shape[-1] * math.log(2 * math.pi))
        nats[f"{steps}_steps_standard_normal"] = round(standard, 3)
    return nats
