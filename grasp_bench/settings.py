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
Protocol = Literal["open-loop", "mpc"]
StopRule = Literal["first-success", "never"]

DEFAULT_BUDGET: dict[ClockKind, float] = {"wall": 5.0, "iterations": 100.0}
FIRST_CHECK: dict[ClockKind, float] = {"wall": 0.02, "iterations": 1.0}
CHECK_RATIO = 1.25
REPLAN_EVERY: dict[Protocol, int] = {"mpc": 1}


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
        protocol: `open-loop` plans once; `mpc`, closed loop, replans from the simulator's state.
        replan_every: model steps executed of a plan in closed loop, else None.
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
    protocol: Protocol = "open-loop"
    replan_every: int | None = None

    def __post_init__(self) -> None:
        for name in ("budget", "batch", "threads", "max_iterations", "replan_every"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                option = name.replace("_", "-")
                raise UserError(f"--{option} must be a positive number, not {value}")
        if (self.protocol == "mpc") != (self.replan_every is not None):
            raise UserError(
                "--replan-every belongs to --protocol mpc: an open-loop plan is executed whole"
            )

    def digest(self) -> str:
        """Ten hexadecimal digits that name these settings; the model counts by its weights."""
        identity = {**asdict(self), "model": ""}
        if self.protocol == "open-loop":  # the folders of runs before there was another
            del identity["protocol"], identity["replan_every"]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]

    def difference(self, other: RunSettings) -> str:
        """The settings in which two runs disagree, as a phrase; empty where they agree."""
        return ", ".join(
            f"{field.name} {getattr(self, field.name)} and {getattr(other, field.name)}"
            for field in fields(self)
            if field.name != "model" and getattr(self, field.name) != getattr(other, field.name)
        )


SETTINGS_COLUMNS = tuple(field.name for field in fields(RunSettings))
