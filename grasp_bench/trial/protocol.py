"""Holds what decides how a trial is run, apart from its planner, model and task."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, get_args

from grasp_bench.core.errors import UserError
from grasp_bench.core.json_files import shown

if TYPE_CHECKING:
    from grasp_bench.core.types import Objective

ClockKind = Literal["wall", "iterations"]
ProtocolKind = Literal["open-loop", "mpc"]
StopRule = Literal["first-success", "never"]

DEFAULT_BUDGET: dict[ClockKind, float] = {"wall": 5.0, "iterations": 100.0}
FIRST_CHECK: dict[ClockKind, float] = {"wall": 0.02, "iterations": 1.0}
CHECK_RATIO = 1.25
DEFAULT = float("nan")  # this very object stands for the clock's default
_EXACT = 2**53  # whole numbers to here are exact in a table's floating-point columns
MOST = {
    "replan_every": _EXACT, "max_iterations": _EXACT, "goal_steps": _EXACT, "batch": _EXACT,
    "threads": 1024,
}  # fmt: skip
REPLAN_EVERY: dict[ProtocolKind, int] = {"mpc": 1}


@dataclass(frozen=True, kw_only=True)
class TrialProtocol:
    """How a trial is run. Every field is a column of the results.

    Attributes:
        protocol: `open-loop` plans once; `mpc`, closed loop, replans from the simulator's state.
        replan_every: model steps executed of a plan in closed loop, else None.
        master_seed: every trial's random stream derives from it, the task id and the planner.
        clock: `wall` counts planner seconds, `iterations` counts candidates.
        budget: planner time at which a trial ends, in the clock's unit.
        max_iterations: planner iterations at which a trial ends at the latest.
        stop: ends a trial at its first success, or never before its budget.
        check_first: planner time of the first check of a plan.
        check_ratio: ratio of one check's planner time to the one before.
        action_limits: planners are told the environment's; else the simulator clips unseen.
        proprio_weight: α, of the proprioceptive part of the goal distance.
        goal_steps: model steps at the end of a plan that the goal distance is averaged over.
        batch: tasks planned together; times of different batch sizes do not compare.
        device: torch device of model and planner.
        threads: torch threads of each worker process.

    Raises:
        UserError: a value is out of its range, or two do not fit each other.
    """  # noqa: RUF002

    protocol: ProtocolKind = "open-loop"
    replan_every: int | None = None
    master_seed: int = 0
    clock: ClockKind = "wall"
    budget: float = DEFAULT
    max_iterations: int | None = None
    stop: StopRule = "first-success"
    check_first: float = DEFAULT
    check_ratio: float = CHECK_RATIO
    action_limits: bool = True
    proprio_weight: float = 1.0
    goal_steps: int = 1
    batch: int = 1
    device: str = "cpu"
    threads: int = 1

    @property
    def objective(self) -> Objective:
        """What plans cost."""
        from grasp_bench.core.types import Objective  # `--help` needs no arrays

        return Objective(self.proprio_weight, self.goal_steps)

    def __post_init__(self) -> None:
        for name, kind in (("protocol", ProtocolKind), ("clock", ClockKind), ("stop", StopRule)):
            if getattr(self, name) not in get_args(kind):
                known = ", ".join(get_args(kind))
                raise UserError(f"--{name} must be one of {known}, not '{getattr(self, name)}'")
        for name, default in (("budget", DEFAULT_BUDGET), ("check_first", FIRST_CHECK)):
            if getattr(self, name) is DEFAULT:
                object.__setattr__(self, name, default[self.clock])
        if self.replan_every is None:
            object.__setattr__(self, "replan_every", REPLAN_EVERY.get(self.protocol))
        if not (_is_whole(self.master_seed) and 0 <= self.master_seed < 2**63):
            raise UserError(
                f"--seed must be a whole number from 0 to 2^63 - 1, not {shown(self.master_seed)}"
            )
        for name, most in MOST.items():
            value, option = getattr(self, name), name.replace("_", "-")
            left_out = value is None and name in ("replan_every", "max_iterations")
            if not left_out and not (_is_whole(value) and 0 < value <= most):
                raise UserError(
                    f"--{option} must be a whole number from 1 to {most}, not {shown(value)}"
                )
        for name in ("budget", "check_first", "check_ratio"):
            value, option = getattr(self, name), name.replace("_", "-")
            if not (_is_number(value) and 0 < value < math.inf):
                raise UserError(f"--{option} must be a positive number, not {shown(value)}")
        if not (_is_number(self.proprio_weight) and 0 <= self.proprio_weight < math.inf):
            raise UserError(
                f"--proprio-weight must be a number of at least 0, not {shown(self.proprio_weight)}"
            )
        if not isinstance(self.action_limits, bool):
            raise UserError(f"action_limits must be true or false, not {shown(self.action_limits)}")
        if self.clock == "iterations" and self.budget < 1:
            raise UserError(
                f"--budget {self.budget} is less than one candidate on --clock iterations: no "
                "trial would have a plan"
            )
        if self.check_ratio <= 1:
            raise UserError(f"--check-ratio must be greater than 1, not {self.check_ratio}")
        if (self.protocol == "mpc") != (self.replan_every is not None):
            raise UserError(
                "--replan-every belongs to --protocol mpc: an open-loop plan is executed whole"
            )


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    if isinstance(value, Integral):
        return _is_whole(value) and value <= _EXACT
    return isinstance(value, Real)
