"""Recipes: everything that decides what a training run produces, as frozen data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from grasp_bench.errors import UserError
from grasp_bench.models.compact import CompactConfig
from grasp_bench.registry import did_you_mean
from grasp_bench.training.dynamics import DynamicsObjective
from grasp_bench.training.encoder import EquivarianceWeights, Objective
from grasp_bench.training.loop import Schedule

_ENCODER = Schedule(steps=2_000, batch=128, learning_rate=2e-3, average=0.995)
_DYNAMICS = Schedule(steps=14_000, batch=256, learning_rate=1.5e-3, average=0.999)
_DECODER = Schedule(steps=6_000, batch=16, learning_rate=3e-3)


@dataclass(frozen=True)
class Recipe:
    """A training run of the compact world model.

    Attributes:
        architecture: the model.
        objective: how the encoder learns, from simulator labels or by equivariance.
        pool_frames: frames the encoder learns from.
        decoder_frames: frames the decoder learns from.
        episodes: training episodes.
        encoder, dynamics, decoder: schedules of the stages.
        equivariance: the self-supervised objective's weights.
        rollout: the predictor's loss.
        seed: of initialisation and of every sample.
    """

    architecture: CompactConfig = field(default_factory=CompactConfig)
    objective: Objective = "labels"
    pool_frames: int = 150_000
    decoder_frames: int = 20_000
    episodes: int = 24_000
    encoder: Schedule = _ENCODER
    dynamics: Schedule = _DYNAMICS
    decoder: Schedule = _DECODER
    equivariance: EquivarianceWeights = field(default_factory=EquivarianceWeights)
    rollout: DynamicsObjective = field(default_factory=DynamicsObjective)
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain data for the checkpoint's card."""
        return asdict(self)


_COMPACT = Recipe()

RECIPES: dict[str, Recipe] = {
    "compact": _COMPACT,
    # The self-supervised encoder; docs/world-model.md says how far it gets.
    "equivariant": replace(
        _COMPACT,
        architecture=CompactConfig(keypoints=8),
        objective="equivariance",
        pool_frames=60_000,
        encoder=Schedule(steps=6_000, batch=64, learning_rate=2e-3, average=0.99),
    ),
    "smoke": replace(
        _COMPACT,
        architecture=CompactConfig(encoder_channels=32, width=64, blocks=2, decoder_width=32),
        pool_frames=2_000,
        decoder_frames=500,
        episodes=500,
        encoder=Schedule(steps=150, batch=32, learning_rate=3e-3, warmup=20),
        dynamics=Schedule(steps=400, batch=128, learning_rate=2e-3, warmup=20),
        decoder=Schedule(steps=50, batch=16, learning_rate=1e-3, warmup=5),
    ),
}


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UserError: no such recipe.
    """
    if name not in RECIPES:
        raise UserError(f"unknown recipe '{name}': {did_you_mean(name, RECIPES)}")
    return RECIPES[name]
