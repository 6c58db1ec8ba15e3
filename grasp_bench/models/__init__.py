"""World models: the shipped architecture, checkpoints, and what reads observations."""

from grasp_bench.models.checkpoint import (
    LoadedModel,
    ModelSummary,
    list_models,
    load_model,
    save_checkpoint,
)
from grasp_bench.models.compact import CompactConfig, CompactWorldModel
from grasp_bench.models.jepa import JepaConfig, JepaWorldModel
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.observation import observe
from grasp_bench.models.patch import PatchConfig, PatchWorldModel
from grasp_bench.models.pose import PoseWorldModel

__all__ = [
    "CompactConfig",
    "CompactWorldModel",
    "JepaConfig",
    "JepaWorldModel",
    "LatentWorldModel",
    "LoadedModel",
    "ModelSummary",
    "PatchConfig",
    "PatchWorldModel",
    "PoseWorldModel",
    "list_models",
    "load_model",
    "observe",
    "save_checkpoint",
]
