"""The recipes by name, and how one takes DINOv2's tokens instead of its own encoder."""

from __future__ import annotations

from dataclasses import replace

from grasp_bench.core.errors import UserError
from grasp_bench.core.registry import find
from grasp_bench.models.compact import CompactConfig
from grasp_bench.models.dinov2 import read_dino_config
from grasp_bench.models.patch import PatchConfig
from grasp_bench.training.compact.compact_recipe import CompactRecipe
from grasp_bench.training.dino_wm_recipe import SMALL, DinoWMRecipe
from grasp_bench.training.loop import Schedule
from grasp_bench.training.pose.pose_recipes import PatchRecipe, PoseRecipe
from grasp_bench.training.training_run import Recipe

_SMOKE_DYNAMICS = Schedule(steps=400, batch=128, learning_rate=2e-3, warmup=20)

_RECIPES: dict[str, Recipe] = {
    "compact": CompactRecipe(),
    "patch": PatchRecipe(),
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
    "patch-smoke": PatchRecipe(
        architecture=PatchConfig(
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
        agreement=Schedule(steps=50, batch=64, learning_rate=1e-3, warmup=10),
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


def with_dinov2(recipe: Recipe, source: str, image_size: int = 112) -> PatchRecipe:
    """Returns a patch recipe that takes DINOv2's frozen tokens and pretrains no encoder.

    Args:
        recipe: of the patch model.
        source: a name on the Hugging Face hub, e.g. `facebook/dinov2-small`, or a folder.
        image_size: of the pictures; 112 gives 8 x 8 tokens, DINO-WM's 196 gives 14 x 14.

    Raises:
        UserError: it is another kind of recipe, transformers is not installed, or the source
            holds no DINOv2.
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
