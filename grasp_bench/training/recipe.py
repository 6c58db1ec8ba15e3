"""Recipes: everything that decides what a training run produces, as frozen data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from grasp_bench.errors import UserError
from grasp_bench.models.compact import CompactConfig
from grasp_bench.models.patch import PatchConfig
from grasp_bench.registry import did_you_mean
from grasp_bench.training.dynamics import DynamicsObjective
from grasp_bench.training.encoder import EquivarianceWeights, Objective
from grasp_bench.training.loop import Schedule
from grasp_bench.training.vision import MaskedPrediction


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run of a world model; subclasses add what their encoder needs.

    Attributes:
        episodes: training episodes.
        dynamics: schedule of the predictor.
        rollout: the predictor's loss.
        seed: of initialisation and of every sample.
    """

    episodes: int = 24_000
    dynamics: Schedule
    rollout: DynamicsObjective = field(default_factory=DynamicsObjective)
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain data for the checkpoint's card."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class CompactRecipe(Recipe):
    """A training run of the compact world model.

    Attributes:
        architecture: the model.
        objective: how the encoder learns, from simulator labels or by equivariance.
        pool_frames: frames the encoder learns from.
        decoder_frames: frames the decoder learns from.
        encoder, decoder: schedules of the stages.
        equivariance: the self-supervised objective's weights.
    """

    architecture: CompactConfig = field(default_factory=CompactConfig)
    objective: Objective = "labels"
    pool_frames: int = 150_000
    decoder_frames: int = 20_000
    encoder: Schedule = Schedule(steps=2_000, batch=128, learning_rate=2e-3, average=0.995)
    dynamics: Schedule = Schedule(steps=14_000, batch=256, learning_rate=1.5e-3, average=0.999)
    decoder: Schedule = Schedule(steps=6_000, batch=16, learning_rate=3e-3)
    equivariance: EquivarianceWeights = field(default_factory=EquivarianceWeights)


@dataclass(frozen=True, kw_only=True)
class PatchRecipe(Recipe):
    """A training run of the patch world model.

    Attributes:
        architecture: the model.
        pool_frames: frames the encoder is pretrained on.
        vision: schedule of the pretraining.
        masking: its objective.
    """

    architecture: PatchConfig = field(default_factory=PatchConfig)
    pool_frames: int = 200_000
    vision: Schedule = Schedule(steps=6_000, batch=64, learning_rate=2e-3, average=0.995)
    masking: MaskedPrediction = field(default_factory=MaskedPrediction)
    dynamics: Schedule = Schedule(steps=12_000, batch=32, learning_rate=1e-3, average=0.999)


_SMOKE_DYNAMICS = Schedule(steps=400, batch=128, learning_rate=2e-3, warmup=20)

RECIPES: dict[str, CompactRecipe | PatchRecipe] = {
    "compact": CompactRecipe(),
    # The self-supervised encoder; docs/world-model.md says how far it gets.
    "equivariant": CompactRecipe(
        architecture=CompactConfig(keypoints=8),
        objective="equivariance",
        pool_frames=60_000,
        encoder=Schedule(steps=6_000, batch=64, learning_rate=2e-3, average=0.99),
    ),
    "patch": PatchRecipe(),
    "smoke": CompactRecipe(
        architecture=CompactConfig(encoder_channels=32, width=64, blocks=2, decoder_width=32),
        pool_frames=2_000,
        decoder_frames=500,
        episodes=500,
        encoder=Schedule(steps=150, batch=32, learning_rate=3e-3, warmup=20),
        dynamics=_SMOKE_DYNAMICS,
        decoder=Schedule(steps=50, batch=16, learning_rate=1e-3, warmup=5),
    ),
    "patch-smoke": PatchRecipe(
        architecture=PatchConfig(
            channels=8, encoder_width=32, encoder_blocks=1, width=32, blocks=2
        ),
        pool_frames=1_000,
        episodes=500,
        vision=Schedule(steps=60, batch=32, learning_rate=3e-3, warmup=20),
        dynamics=replace(_SMOKE_DYNAMICS, steps=150, batch=16),
    ),
}


def get_recipe(name: str) -> CompactRecipe | PatchRecipe:
    """The recipe of that name.

    Raises:
        UserError: no such recipe.
    """
    if name not in RECIPES:
        raise UserError(f"unknown recipe '{name}': {did_you_mean(name, RECIPES)}")
    return RECIPES[name]
