"""Follows one problem of a batch while it is being planned."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from grasp_bench.core.types import Candidate, FloatArray, Problem, Task
from grasp_bench.envs import PlanOutcome
from grasp_bench.planners.objective import goal_cost, goal_distance
from grasp_bench.trial.promises import check_costs


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
        if not better or not math.isfinite(cost) or not bool(torch.isfinite(plan).all()):
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
        actions: [H, E] environment actions of that plan.
        first_success: outcome of the first plan that succeeded.
        success_actions: [H, E] environment actions of that plan.
        success_at: usage at that time.
        stopped_at: usage when a success ended the trial.
    """

    task: Task
    incumbent: Incumbent = field(default_factory=Incumbent)
    changed: bool = False
    checks: int = 0
    plannings: list[int] | None = None
    outcome: PlanOutcome | None = None
    actions: FloatArray | None = None
    first_success: PlanOutcome | None = None
    success_actions: FloatArray | None = None
    success_at: Usage | None = None
    stopped_at: Usage | None = None

    def executed(self, outcome: PlanOutcome, actions: FloatArray, usage: Usage) -> None:
        """Takes note of where executing the incumbent, actions [H, E], led."""
        self.outcome, self.actions, self.changed = outcome, actions, False
        if outcome.success and self.first_success is None:
            self.first_success, self.success_actions, self.success_at = outcome, actions, usage


def consider(states: Sequence[TrialState], candidate: Candidate, problem: Problem) -> None:
    """Holds a candidate against the incumbents of the problems [B] that go on.

    What becomes an incumbent is costed once more, off the clock.

    Raises:
        BrokenPromiseError: its cost is not what a rollout of the model gives.
    """
    plans, costs = candidate.actions.detach().cpu(), candidate.cost.tolist()
    better = []
    for b, (state, plan, cost) in enumerate(zip(states, plans, costs, strict=True)):
        if state.stopped_at is None and state.incumbent.consider(plan, cost):
            state.changed = True
            better.append(b)
    if better:
        own = replace(problem, start=problem.start[better], goal=problem.goal[better])
        with torch.no_grad():
            found = goal_cost(own, candidate.actions[better])
            idle = goal_distance(own, own.start, own.goal)
        check_costs(candidate.cost.detach()[better], found, idle)
