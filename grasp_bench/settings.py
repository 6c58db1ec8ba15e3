"""The settings that all trials of one run, and all cells of one table, share."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Literal

from grasp_bench import PROTOCOL_VERSION
from grasp_bench.errors import UserError
from grasp_bench.seeds import TaskSplit

ClockKind = Literal["wall", "iterations"]
StopRule = Literal["first-success", "never"]

DEFAULT_BUDGET: dict[ClockKind, float] = {"wall": 5.0, "iterations": 100.0}
FIRST_CHECK: dict[ClockKind, float] = {"wall": 0.02, "iterations": 1.0}
CHECK_RATIO = 1.25


@dataclass(frozen=True)
class RunSettings:
    """What decides how a trial is run, apart from its planner and task.

    Attributes:
        model: name of the world model, or path of its checkpoint.
        model_sha256: of the checkpoint's weights.
        tasks: which frozen task set.
        task_set_sha256: of its file.
        master_seed: every trial's random stream derives from it, the task id and the planner.
        clock: `wall` counts planner seconds, `iterations` counts candidates.
        budget: planner time at which a trial ends, in the clock's unit.
        max_iterations: planner iterations at which a trial ends at the latest.
        stop: end a trial at its first success, or never before its budget.
        check_first, check_ratio: the grid of planner times at which plans are checked.
        batch: tasks planned together; times of different batch sizes do not compare.
        device: torch device of model and planner.
        threads: torch threads of each worker process.
        protocol_version: of the evaluation protocol.
    """

    model: str
    model_sha256: str
    tasks: TaskSplit
    task_set_sha256: str
    master_seed: int
    clock: ClockKind
    budget: float
    max_iterations: int | None
    stop: StopRule
    check_first: float
    check_ratio: float
    batch: int
    device: str
    threads: int
    protocol_version: str = PROTOCOL_VERSION

    def __post_init__(self) -> None:
        for name in ("budget", "batch", "threads", "max_iterations"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                option = name.replace("_", "-")
                raise UserError(f"--{option} must be a positive number, not {value}")

    def digest(self) -> str:
        """Ten hexadecimal digits that name these settings; the model counts by its weights."""
        identity = {**asdict(self), "model": ""}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]

    def difference(self, other: RunSettings) -> str:
        """The settings in which two runs disagree, as a phrase; empty where they agree."""
        return ", ".join(
            f"{field.name} {getattr(self, field.name)} and {getattr(other, field.name)}"
            for field in fields(self)
            if field.name != "model" and getattr(self, field.name) != getattr(other, field.name)
        )


SETTINGS_COLUMNS = tuple(field.name for field in fields(RunSettings))
