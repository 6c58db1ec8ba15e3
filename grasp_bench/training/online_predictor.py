"""The predictor's part of online fine-tuning: alone, or as an ensemble trained apart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import nn

from grasp_bench.errors import UserError
from grasp_bench.models.checkpoint import BUILDERS
from grasp_bench.models.ensemble import EnsemblePredictor
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.training.data import Demonstrations
from grasp_bench.training.dynamics import LatentEpisodes, Source, dynamics_loss
from grasp_bench.training.loop import Trained
from grasp_bench.training.online_recipe import OnlineRecipe
from grasp_bench.training.stages import TrainingRun

_MEMBER_STRIDE = 10_000  # between the seeds of an ensemble's members


@dataclass(frozen=True, kw_only=True)
class OnlineRun(TrainingRun):
    """What all rounds of one fine-tuning share.

    Attributes:
        model: what is fine-tuned, in place.
        recipe: how.
        held_out: demonstrations that rounds are held against.
    """

    model: LatentWorldModel
    recipe: OnlineRecipe
    held_out: Demonstrations


def as_ensemble(model: LatentWorldModel, size: int) -> LatentWorldModel:
    """The model with `size` copies of its predictor, to be trained apart; itself if that is 1.

    Raises:
        UserError: it is an ensemble already, or its kind cannot be one.
    """
    if size == 1:
        return model
    if isinstance(model.predictor, EnsemblePredictor):
        raise UserError("the model is an ensemble already: leave --ensemble out")
    architecture = model.config.to_json()
    if "ensemble" not in architecture:
        raise UserError(f"a {model.kind} model cannot be an ensemble: leave --ensemble out")
    ensemble = BUILDERS[model.kind](architecture | {"ensemble": size})
    weights: dict[str, torch.Tensor] = {}
    for name, value in model.state_dict().items():
        scope, _, rest = name.partition(".")
        copies = [f"predictor.members.{k}.{rest}" for k in range(size)]
        weights |= dict.fromkeys(copies if scope == "predictor" else [name], value)
    ensemble.load_state_dict(weights)
    return ensemble.to(model.visual_mean.device).eval().requires_grad_(False)


def train_predictor(
    run: OnlineRun, number: int, demonstrations: LatentEpisodes, plans: list[LatentEpisodes]
) -> dict[str, Trained]:
    """A round's training of the predictor, in place, on demonstrations and all plans so far.

    The members of an ensemble learn one after another, each from its own bootstrap sample
    of the episodes. Returns what each stage left behind, by its name.
    """
    predictor, stage = run.model.predictor, f"round-{number}/dynamics"
    sets, seed = [*_joined(plans), demonstrations], run.recipe.seed + number
    predictor.requires_grad_(True)
    if isinstance(predictor, EnsemblePredictor):
        stages = {}
        for index in range(len(predictor.members)):
            member_seed = seed + _MEMBER_STRIDE * index
            resampled = [_bootstrap(episodes, member_seed) for episodes in sets]
            with predictor.alone(index) as member:
                name = f"{stage}-{index}"
                stages[name] = _train_on(run, name, member, resampled, member_seed)
    else:
        stages = {stage: _train_on(run, stage, predictor, sets, seed)}
    predictor.requires_grad_(False)
    return stages


def _train_on(
    run: OnlineRun, stage: str, learner: nn.Module, sets: list[LatentEpisodes], seed: int
) -> Trained:
    """The learner on sets of plans and, the last of them, demonstrations."""
    recipe = run.recipe
    *plans, demonstrations = sets
    windows = round(recipe.plan_share * recipe.dynamics.batch / len(plans))
    sources = [Source(episodes, windows) for episodes in plans]
    sources.append(Source(demonstrations, recipe.dynamics.batch - windows * len(plans)))
    loss = dynamics_loss(run.model, sources, recipe.rollout)
    return run.train(stage, learner, loss, recipe.dynamics, seed)


def _bootstrap(episodes: LatentEpisodes, seed: int) -> LatentEpisodes:
    count = len(episodes.features)
    rows = torch.randint(count, (count,), generator=torch.Generator().manual_seed(seed))
    return LatentEpisodes(episodes.features[rows], episodes.proprio[rows], episodes.actions[rows])


def _joined(plans: list[LatentEpisodes]) -> list[LatentEpisodes]:
    """Sets of episodes of one length each."""
    by_length = defaultdict(list)
    for episodes in plans:
        by_length[episodes.features.shape[1]].append(episodes)
    return [
        LatentEpisodes(
            torch.cat([e.features for e in group]),
            torch.cat([e.proprio for e in group]),
            torch.cat([e.actions for e in group]),
        )
        for group in by_length.values()
    ]
