"""Results rows, settings and a tiny world model, shared by the tests of the suite."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from grasp_bench.columns import COLUMNS
from grasp_bench.models import CompactConfig, CompactWorldModel, save_checkpoint
from grasp_bench.settings import RunSettings

DEFAULTS: dict[str, Any] = {
    "status": "ok",
    "task_id": "pusht-h40-0000",
    "horizon": 40,
    "planner": "grasp",
    "planner_config": "{}",
    "planner_config_sha256": "c" * 64,
    "trial_seed": 2**64 - 1,
    "success": False,
    "success_final": False,
    "success_block": False,
    "planner_time": 5.0,
    "candidates": 50,
    "iterations": 500,
    "checks": 20,
    "rows_forward": 1000,
    "rows_backward": 1000,
    "planner_seconds": 5.0,
    "encode_seconds": 0.01,
    "wall_seconds": 5.5,
    "protocol_version": "1",
    "model": "tiny",
    "model_sha256": "a" * 64,
    "tasks": "eval",
    "task_set_sha256": "b" * 64,
    "master_seed": 0,
    "clock": "wall",
    "budget": 5.0,
    "stop": "first-success",
    "check_first": 0.02,
    "check_ratio": 1.25,
    "batch": 1,
    "device": "cpu",
    "threads": 1,
    "cpu": "a processor",
    "cores": 2,
    "reference_seconds": 0.01,
    "workers": 2,
    "started_at": datetime(2026, 1, 1, tzinfo=UTC),
}


@pytest.fixture
def make_row() -> Callable[..., dict[str, Any]]:
    """A results row; whatever is not given is a plausible default."""

    def make(**values: Any) -> dict[str, Any]:
        row = dict.fromkeys(column.name for column in COLUMNS) | DEFAULTS | values
        row["planner_label"] = values.get("planner_label", row["planner"])
        row["trial_key"] = f"{row['planner_label']}-{row['task_id']}"
        return row

    return make


@pytest.fixture
def make_settings() -> Callable[..., RunSettings]:
    """Settings of a deterministic run on the tiny model."""

    def make(**values: Any) -> RunSettings:
        defaults = {
            "model": "tiny", "model_sha256": "a" * 64, "tasks": "eval",
            "task_set_sha256": "b" * 64, "master_seed": 0, "clock": "iterations", "budget": 6.0,
            "max_iterations": None, "stop": "first-success", "check_first": 1.0,
            "check_ratio": 1.25, "batch": 1, "device": "cpu", "threads": 1,
        }  # fmt: skip
        return RunSettings(**(defaults | values))

    return make


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained world model of the shipped architecture, small enough to plan in no time."""
    return _save(_tiny_model(), tmp_path_factory)


@pytest.fixture(scope="session")
def responsive_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_checkpoint`, but actions change the next state, as they do after training."""
    model = _tiny_model()
    torch.nn.init.normal_(model.predictor.leave[-1].weight)
    return _save(model, tmp_path_factory)


def _tiny_model() -> CompactWorldModel:
    torch.manual_seed(0)
    config = CompactConfig(keypoints=2, encoder_channels=8, width=16, blocks=1, decoder_width=8)
    return CompactWorldModel(config)


def _save(model: CompactWorldModel, folders: pytest.TempPathFactory) -> Path:
    path = folders.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(model, path, {})
    return path
