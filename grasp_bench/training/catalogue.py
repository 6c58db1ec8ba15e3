"""The recipes by name."""

from __future__ import annotations

from dataclasses import replace

from grasp_bench.core.registry import find
from grasp_bench.models.compact import CompactConfig
from grasp_bench.models.pose import PoseConfig
from grasp_bench.training.compact.compact_recipe import CompactRecipe
from grasp_bench.training.dino_wm_recipe import SMALL, DinoWMRecipe
from grasp_bench.training.loop import Schedule
from grasp_bench.training.pose.pose_recipe import PoseRecipe
from grasp_bench.training.training_run import Recipe

_SMOKE_DYNAMICS = Schedule(steps=400, batch=128, learning_rate=2e-3, warmup=20)

_RECIPES: dict[str, Recipe] = {
    "compact": CompactRecipe(),
    "pose": PoseRecipe(),
    "dino-wm-small": DinoWMRecipe(),
    "smoke": CompactRecipe(
        architecture=CompactConfig(encoder_channels=32, width=64, blocks=2, decoder_width=32),
        pool_frames=2_000,
        decoder_frames=500,
        episodes=500,
        encoder=Schedule(steps=150, batch=32, learning_rate=3e-3, warmup=20),
        dynamics=_SMOKE_DYNAMICS,
        decoder=Schedule(steps=50, batch=16, learning_rate=1e-3, warmup=5),
    ),
    "pose-smoke": PoseRecipe(
        architecture=PoseConfig(
            channels=8, encoder_width=32, encoder_blocks=1, token_width=48, width=64, blocks=2
        ),
        pool_frames=1_000,
        episodes=500,
        vision=Schedule(steps=60, batch=32, learning_rate=3e-3, warmup=20),
        scene=Schedule(steps=100, batch=64, learning_rate=4e-3, warmup=20),
        hinted=Schedule(steps=60, batch=64, learning_rate=4e-3, warmup=20),
        redraw=Schedule(steps=60, batch=64, learning_rate=4e-3, warmup=20),
        scene_code=8,
        landmarks=1_000,
        dynamics=_SMOKE_DYNAMICS,
        longer=Schedule(steps=50, batch=64, learning_rate=5e-4, warmup=10),
    ),
    "dino-wm-smoke": DinoWMRecipe(
        architecture=replace(
            SMALL, features=28, depth=1, heads=2, hidden=64, encoder_width=32, encoder_blocks=1
        ),
        pool_frames=1_000,
        episodes=500,
        vision=Schedule(steps=60, batch=32, learning_rate=3e-3, warmup=20),
        dynamics=Schedule(steps=400, batch=32, learning_rate=2e-3, warmup=20),
    ),
}


def get_recipe(name: str) -> Recipe:
    """Returns the recipe of that name.

    Raises:
        UserError: there is no such recipe.
    """
    return find("recipe", name, _RECIPES)
