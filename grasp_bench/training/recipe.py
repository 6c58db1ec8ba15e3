"""Recipes: everything that decides what a training run produces, as frozen data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from grasp_bench.errors import UserError
from grasp_bench.models.compact import CompactConfig
from grasp_bench.models.jepa import JepaConfig
from grasp_bench.models.patch import PatchConfig
from grasp_bench.registry import find
from grasp_bench.training.dynamics import DynamicsObjective
from grasp_bench.training.encoder import EquivarianceWeights, Objective
from grasp_bench.training.jepa import JepaObjective
from grasp_bench.training.loop import Schedule
from grasp_bench.training.redraw import Redrawing
from grasp_bench.training.vision import MaskedPrediction, read_dino_config


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run of a world model; subclasses add what their encoder needs.

    Attributes:
        episodes: training episodes.
        seed: of initialisation and of every sample.
    """

    episodes: int = 24_000
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
        encoder, dynamics, decoder: schedules of the stages.
        rollout: the predictor's loss.
        equivariance: the self-supervised objective's weights.
    """

    architecture: CompactConfig = field(default_factory=CompactConfig)
    objective: Objective = "labels"
    pool_frames: int = 150_000
    decoder_frames: int = 20_000
    encoder: Schedule = Schedule(steps=2_000, batch=128, learning_rate=2e-3, average=0.995)
    dynamics: Schedule = Schedule(steps=14_000, batch=256, learning_rate=1.5e-3, average=0.999)
    rollout: DynamicsObjective = field(default_factory=DynamicsObjective)
    decoder: Schedule = Schedule(steps=6_000, batch=16, learning_rate=3e-3)
    equivariance: EquivarianceWeights = field(default_factory=EquivarianceWeights)


@dataclass(frozen=True, kw_only=True)
class PatchRecipe(Recipe):
    """A training run of the patch world model.

    Attributes:
        architecture: the model.
        pool_frames: frames the encoder is pretrained on.
        dinov2: name or folder of DINOv2 weights to take in the place of pretraining; the
            architecture then carries their configuration (`with_dinov2`).
        vision: schedule of the pretraining; with DINOv2, of the decoder alone.
        masking: its objective.
        scene: schedule of reading and drawing single frames through a free code.
        hinted, redraw: schedules of the predictor's reading and drawing of them through a pose,
            with and without hints.
        redrawing: how these three learn.
        dynamics: schedule of the predictor on poses, `rollout` its loss.
        longer: the same for longer rollouts afterwards, `longer_rollout` their loss.
        agreement: schedule of the drawing of what is read again as it was meant.
    """

    architecture: PatchConfig = field(default_factory=PatchConfig)
    pool_frames: int = 200_000
    dinov2: str | None = None
    vision: Schedule = Schedule(steps=6_000, batch=64, learning_rate=2e-3, average=0.995)
    masking: MaskedPrediction = field(default_factory=MaskedPrediction)
    scene: Schedule = Schedule(steps=4_000, batch=128, learning_rate=3e-3)
    hinted: Schedule = Schedule(steps=1_500, batch=128, learning_rate=3e-3)
    redraw: Schedule = Schedule(steps=6_000, batch=128, learning_rate=2e-3, average=0.998)
    redrawing: Redrawing = field(default_factory=Redrawing)
    dynamics: Schedule = Schedule(steps=20_000, batch=256, learning_rate=1.5e-3, average=0.999)
    rollout: DynamicsObjective = field(default_factory=DynamicsObjective)
    longer: Schedule = Schedule(steps=6_000, batch=256, learning_rate=5e-4, average=0.999)
    longer_rollout: DynamicsObjective = field(default_factory=lambda: DynamicsObjective(unroll=8))
    agreement: Schedule = Schedule(steps=3_000, batch=128, learning_rate=1e-3, average=0.998)


@dataclass(frozen=True, kw_only=True)
class JepaRecipe(Recipe):
    """A training run of the joint-embedding world model on a trained patch encoder.

    Attributes:
        architecture: the model.
        encoder_from: the patch checkpoint whose encoder is taken, by name or path.
        embedding: schedule of head and predictor together.
        objective: their loss.
        dynamics: schedule of the predictor alone, `rollout` its loss.
    """

    architecture: JepaConfig = field(default_factory=JepaConfig)
    encoder_from: str = "pusht-patch"
    embedding: Schedule = Schedule(
        steps=1_500, batch=160, learning_rate=2e-3, warmup=50, average=0.995
    )
    objective: JepaObjective = field(default_factory=JepaObjective)
    dynamics: Schedule = Schedule(steps=8_000, batch=256, learning_rate=1.5e-3, average=0.999)
    rollout: DynamicsObjective = field(default_factory=DynamicsObjective)


@dataclass(frozen=True, kw_only=True)
class PoseRecipe(Recipe):
    """The pose world model: parts of a patch model, with nothing left to train.

    Attributes:
        patch_from: the patch checkpoint, by name or path.
    """

    patch_from: str = "pusht-patch"


AnyRecipe = CompactRecipe | PatchRecipe | JepaRecipe | PoseRecipe

_SMOKE_DYNAMICS = Schedule(steps=400, batch=128, learning_rate=2e-3, warmup=20)

RECIPES: dict[str, AnyRecipe] = {
    "compact": CompactRecipe(),
    # The self-supervised encoder; docs/world-model.md says how far it gets.
    "equivariant": CompactRecipe(
        architecture=CompactConfig(keypoints=8),
        objective="equivariance",
        pool_frames=60_000,
        encoder=Schedule(steps=6_000, batch=64, learning_rate=2e-3, average=0.99),
    ),
    "patch": PatchRecipe(),
    "jepa": JepaRecipe(),
    "pose": PoseRecipe(),
    # Temporal straightening, as a try: what it gave is in docs/model-progress.md.
    "jepa-straight": JepaRecipe(
        objective=JepaObjective(straightening=1.0),
        embedding=Schedule(steps=1_000, batch=160, learning_rate=2e-3, warmup=50, average=0.995),
        dynamics=Schedule(steps=2_500, batch=256, learning_rate=1.5e-3, average=0.995),
    ),
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
            channels=8,
            encoder_width=32,
            encoder_blocks=1,
            token_width=48,
            width=64,
            blocks=2,
        ),
        pool_frames=1_000,
        episodes=500,
        vision=Schedule(steps=60, batch=32, learning_rate=3e-3, warmup=20),
        scene=Schedule(steps=100, batch=64, learning_rate=4e-3, warmup=20),
        hinted=Schedule(steps=60, batch=64, learning_rate=4e-3, warmup=20),
        redraw=Schedule(steps=60, batch=64, learning_rate=4e-3, warmup=20),
        redrawing=Redrawing(scene_code=8, landmarks=1_000),
        dynamics=_SMOKE_DYNAMICS,
        longer=Schedule(steps=50, batch=64, learning_rate=5e-4, warmup=10),
        agreement=Schedule(steps=50, batch=64, learning_rate=1e-3, warmup=10),
    ),
    "jepa-smoke": JepaRecipe(
        architecture=JepaConfig(
            features=8, channels=8, encoder_width=32, encoder_blocks=1, head_width=32, width=64
        ),
        episodes=500,
        embedding=Schedule(steps=60, batch=16, learning_rate=2e-3, warmup=20),
        dynamics=_SMOKE_DYNAMICS,
    ),
}


def get_recipe(name: str) -> AnyRecipe:
    """The recipe of that name.

    Raises:
        UserError: no such recipe.
    """
    return find("recipe", name, RECIPES)


def with_dinov2(recipe: AnyRecipe, source: str, image_size: int = 112) -> PatchRecipe:
    """A patch recipe that takes DINOv2's frozen tokens instead of pretraining an encoder.

    Args:
        recipe: of the patch model.
        source: a name on the Hugging Face hub, e.g. `facebook/dinov2-small`, or a folder.
        image_size: of the pictures it is shown; 112 gives 8 x 8 tokens, DINO-WM's 196
            gives 14 x 14.

    Raises:
        UserError: another kind of recipe, no transformers, or no DINOv2 there.
    """
    if not isinstance(recipe, PatchRecipe):
        raise UserError("--dinov2 belongs to the patch recipes")
    config = read_dino_config(source)
    architecture = replace(
        recipe.architecture,
        dinov2=config,
        channels=config["hidden_size"],
        image_size=image_size,
    )
    return replace(recipe, architecture=architecture, dinov2=source)
