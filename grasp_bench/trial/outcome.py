"""Executes plans and turns what became of them into the measured columns of a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from grasp_bench.core.types import FloatArray, Row, Task
from grasp_bench.envs import Environment, PlanOutcome

if TYPE_CHECKING:  # judging a stored plan needs no torch
    from grasp_bench.trial.trial_state import TrialState, Usage


def execute(
    environment: Environment, tasks: Sequence[Task], actions: FloatArray
) -> list[PlanOutcome]:
    """Executes one plan per task, each in a fresh simulator from the task's exact start.

    Args:
        environment: of the tasks.
        tasks: B tasks of one horizon H.
        actions: [B, H, E] environment actions; fewer steps than H in closed loop.
    """
    states = environment.rollout(np.stack([task.start_state for task in tasks]), actions)
    return environment.outcomes(states, np.stack([task.goal_state for task in tasks]))


def criteria_columns(
    environment: Environment,
    outcome: PlanOutcome | None,
    prefix: str = "",
    missing: bool | None = False,
) -> Row:
    """Names an outcome's success criteria as columns.

    The default criterion is `success`, another one `success_NAME`, both behind `prefix`.
    Without an outcome every value is `missing`.
    """
    default = next(iter(environment.criteria))
    return {
        f"{prefix}success" + ("" if name == default else f"_{name}"): (
            missing if outcome is None else outcome.criteria[name]
        )
        for name in environment.criteria
    }


def distance_columns(environment: Environment, outcome: PlanOutcome | None) -> Row:
    """Names the distances of the plan committed to as columns."""
    return {
        f"final_plan_{name}": None if outcome is None else outcome.distances[name]
        for name in environment.distances
    }


class Hindsight(NamedTuple):
    """What the world model says of a trial once it has ended.

    Attributes:
        realised_cost: of where the plan committed to really ended, None without a plan.
        demonstrated_cost: predicted for the demonstration.
        shown_success: of the first plan that succeeded, or else of the last one executed, in
            the states that the model predicts; None if it has no probe.
        final_success: the same of the plan committed to.
    """

    realised_cost: float | None
    demonstrated_cost: float
    shown_success: bool | None
    final_success: bool | None


def outcome_row(
    environment: Environment, state: TrialState, batch_end: Usage, hindsight: Hindsight
) -> Row:
    """Gives the measured columns of a trial; `run.schema` describes each.

    Args:
        environment: names the criteria and distances.
        state: of the problem when its batch ended.
        batch_end: usage of the batch, which counts where the trial did not stop before.
        hindsight: of the trial.
    """
    end, hit = state.stopped_at or batch_end, state.success_at
    ran_to_its_end = state.stopped_at is None
    committed = state.outcome if ran_to_its_end else None
    return {
        **criteria_columns(environment, state.first_success or state.outcome),
        "success_in_model": hindsight.shown_success,
        "time_to_success": hit.time if hit else None,
        "iterations_to_success": hit.iterations if hit else None,
        "model_evals_forward_to_success": hit.model_evals_forward if hit else None,
        "model_evals_backward_to_success": hit.model_evals_backward if hit else None,
        "planner_time": end.time,
        "candidates": end.candidates,
        "replan_candidates": " ".join(map(str, state.plannings)) if state.plannings else None,
        "iterations": end.iterations,
        "checks": state.checks,
        "model_evals_forward": end.model_evals_forward,
        "model_evals_backward": end.model_evals_backward,
        # A trial without any plan at its end fails; one that stopped before committed to none.
        **criteria_columns(
            environment, committed, "final_plan_", missing=False if ran_to_its_end else None
        ),
        "final_plan_cost_predicted": state.incumbent.cost if committed else None,
        "final_plan_cost_realised": hindsight.realised_cost if committed else None,
        "final_plan_success_in_model": hindsight.final_success if ran_to_its_end else None,
        **distance_columns(environment, committed),
        "demo_cost_predicted": hindsight.demonstrated_cost,
        "success_plan_actions": _packed(state.success_actions),
        "final_plan_actions": _packed(state.actions if committed else None),
        "plan_sha256": state.incumbent.sha256(),
        "planner_seconds": end.seconds,
    }


def _packed(actions: FloatArray | None) -> bytes | None:
    """Returns environment actions [H, E] as the bytes of little-endian float32 numbers."""
    return None if actions is None else actions.astype("<f4").tobytes()


def unpacked(actions: bytes, environment: Environment) -> FloatArray:
    """Returns the environment actions [H, E] of a row."""
    return np.frombuffer(actions, "<f4").astype(np.float64).reshape(-1, environment.action_dim)
