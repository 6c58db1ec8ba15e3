"""World models: one architecture a file, their checkpoints, and how to load one."""

from grasp_bench.models.checkpoint import is_plugin, list_models, save_checkpoint
from grasp_bench.models.compact import CompactConfig, CompactWorldModel
from grasp_bench.models.loading import LoadedModel, load_model
from grasp_bench.models.pose import PoseConfig, PoseWorldModel

__all__ = [
    "CompactConfig",
    "CompactWorldModel",
    "LoadedModel",
    "PoseConfig",
    "PoseWorldModel",
    "is_plugin",
    "list_models",
    "load_model",
    "save_checkpoint",
]
