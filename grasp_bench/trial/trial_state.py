"""Follows one problem of a batch while it is being planned."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from grasp_bench.core.types import Candidate, Task
from grasp_bench.envs import PlanOutcome


@dataclass(frozen=True)
class Usage:
    """What planning has used so far.

    Attributes:
        time: planner time, in the clock's unit.
        seconds: inside the planner, whatever the clock.
        candidates: that arrived within the budget.
        iterations: planner iterations behind the last of them.
        model_evals_forward, model_evals_backward: model transitions evaluated, per problem.
    """

    time: float = 0.0
    seconds: float = 0.0
    candidates: int = 0
    iterations: int = 0
    model_evals_forward: int = 0
    model_evals_backward: int = 0


@dataclass
class Incumbent:
    """The plan of lowest model cost among those considered so far.

    Attributes:
        plan: [T, A] normalised actions on the CPU, None before the first that counts.
        cost: its goal cost as the model predicts it.
    """

    plan: Tensor | None = None
    cost: float = math.inf

    def consider(self, plan: Tensor, cost: float) -> bool:
        """Takes a candidate [T, A] if its model cost is the lowest so far; tells whether it was."""
        better = self.plan is None or cost < self.cost
        # A plan that is not finite cannot be executed, one of unknown cost not be preferred.
        if not better or math.isnan(cost) or not bool(torch.isfinite(plan).all()):
            return False
        self.plan, self.cost = plan.detach().cpu().clone(), cost
        return True

    def sha256(self) -> str | None:
        """Hashes the plan's bytes; None without a plan."""
        if self.plan is None:
            return None
        return hashlib.sha256(self.plan.contiguous().numpy().tobytes()).hexdigest()


@dataclass
class TrialState:
    """One problem of the batch while it is being planned.

    Attributes:
        task: of the problem.
        incumbent: the best plan so far.
        changed: the incumbent has not been executed yet.
        checks: how often a plan was due for execution.
        plannings: candidates of each planning in closed loop, else None.
        outcome: of the plan that was executed last.
        first_success: outcome of the first plan that succeeded.
        success_at: usage at that time.
        stopped_at: usage when a success ended the trial.
    """

    task: Task
    incumbent: Incumbent = field(default_factory=Incumbent)
    changed: bool = False
    checks: int = 0
    plannings: list[int] | None = None
    outcome: PlanOutcome | None = None
    first_success: PlanOutcome | None = None
    success_at: Usage | None = None
    stopped_at: Usage | None = None

    def executed(self, outcome: PlanOutcome, usage: Usage) -> None:
        """Takes note of where executing the incumbent led."""
        self.outcome, self.changed = outcome, False
        if outcome.success and self.first_success is None:
            self.first_success, self.success_at = outcome, usage


def consider(states: Sequence[TrialState], candidate: Candidate) -> None:
    """Holds a candidate against the incumbents of the problems that go on."""
    plans, costs = candidate.actions.detach().cpu(), candidate.cost.tolist()
    for state, plan, cost in zip(states, plans, costs, strict=True):
        if state.stopped_at is None:
            state.changed |= state.incumbent.consider(plan, cost)
