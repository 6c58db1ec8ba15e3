"""Runs trials: encode, plan on the clock, execute, judge.

The planner never learns of the simulator. A trial keeps each problem's incumbent, the
candidate of lowest model cost so far, and executes it off the clock whenever a check is
due. Ground truth decides when a trial may end, never what its plan is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from grasp_bench.core.types import Candidate, Planner, Problem, Row, Task, WorldModel
from grasp_bench.tasks import TaskSet
from grasp_bench.trial.clock import CheckGrid, Clock, IterationClock
from grasp_bench.trial.closed_loop import ClosedLoop, plan_closed_loop
from grasp_bench.trial.drive import Limits, Meter, drive
from grasp_bench.trial.outcome import Hindsight, execute, outcome_row
from grasp_bench.trial.problems import (
    demonstration_costs,
    encode_problem,
    environment_actions,
    noise_streams,
    realised_costs,
    successes_in_model,
)
from grasp_bench.trial.promises import BrokenPromiseError
from grasp_bench.trial.protocol import TrialProtocol
from grasp_bench.trial.trial_state import TrialState, Usage, consider

# As a rule enough for a planner to have used all of its parts, such as GRASP's sync.
WARM_UP_SECONDS, WARM_UP_CANDIDATES = 1.0, 8


def run_trials(
    task_set: TaskSet,
    tasks: Sequence[Task],
    planner: Planner,
    model: WorldModel,
    protocol: TrialProtocol,
    clock: Clock | None = None,
) -> list[Row | BrokenPromiseError]:
    """Runs one trial per task, all planned as one batch; returns their measured columns.

    A problem of a batch ends by itself; the batch ends with its last problem. A candidate
    that arrives after the budget does not count. A trial of which every candidate was NaN or
    infinite gives the error that says so, in the place of its columns.

    Args:
        task_set: the tasks' environment, and all tasks of the horizon, for planners that
            want another task's demonstration.
        tasks: B of them.
        planner: asked for candidates until the trial ends.
        model: on the protocol's device.
        protocol: clock, budget, stop rule and master seed.
        clock: by default one of the kind that the protocol names.

    Raises:
        BrokenPromiseError: the planner, or the world model, does not keep the protocol.
    """
    began = time.perf_counter()
    problem, encode_seconds = encode_problem(task_set, tasks, planner, model, protocol)
    states = [TrialState(task) for task in tasks]
    kind = IterationClock if protocol.clock == "iterations" else Clock
    meter = Meter(clock or kind(protocol.device), model, len(tasks))
    if protocol.replan_every is None:
        _plan_open_loop(states, planner, problem, task_set, protocol, meter)
    else:
        loop = ClosedLoop(task_set.environment, tasks, problem, protocol.replan_every)
        plan_closed_loop(states, loop, planner, protocol, meter)
        encode_seconds += loop.encode_seconds
    in_hindsight = _in_hindsight(states, tasks, problem, task_set)
    wall_seconds = time.perf_counter() - began
    return [
        BrokenPromiseError(f"none of its {meter.usage.candidates} plans and costs is finite")
        if state.incumbent.plan is None and meter.usage.candidates > 0
        else outcome_row(task_set.environment, state, meter.usage, hindsight)
        | {"encode_seconds": encode_seconds, "wall_seconds": wall_seconds}
        for state, hindsight in zip(states, in_hindsight, strict=True)
    ]


def warm_up(
    task_set: TaskSet,
    tasks: Sequence[Task],
    planner: Planner,
    model: WorldModel,
    protocol: TrialProtocol,
) -> None:
    """Plans for a second and forgets it: first calls allocate, compile and cache.

    Goes on until there are `WARM_UP_CANDIDATES`, but then for no longer than a trial may take.
    """
    problem, _ = encode_problem(task_set, tasks, planner, model, protocol)
    meter = Meter(Clock(protocol.device), model, len(tasks))

    def is_enough(_: Candidate) -> bool:
        many, seconds = meter.usage.candidates >= WARM_UP_CANDIDATES, meter.usage.seconds
        return (many or seconds >= protocol.budget) and seconds >= WARM_UP_SECONDS

    noise = noise_streams(tasks, planner, protocol.master_seed)
    drive(planner, problem, noise, meter, Limits(), is_enough)


def _plan_open_loop(
    states: list[TrialState],
    planner: Planner,
    problem: Problem,
    task_set: TaskSet,
    protocol: TrialProtocol,
    meter: Meter,
) -> None:
    """Plans and checks until every problem has stopped or the budget ends."""
    grid = CheckGrid(protocol.check_first, protocol.check_ratio)
    due, last_check = grid.first, 0
    cap = protocol.max_iterations or math.inf

    def take(candidate: Candidate) -> bool:
        nonlocal due, last_check
        consider(states, candidate, problem)
        elapsed = meter.usage.time
        # The end of the budget is the last check.
        is_last = elapsed >= protocol.budget or candidate.iteration >= cap
        if elapsed >= due and not is_last:
            may_stop = protocol.stop == "first-success"
            _check(states, problem, task_set, meter.usage, may_stop)
            due, last_check = grid.next_after(elapsed), meter.usage.candidates
        return all(state.stopped_at is not None for state in states)

    noise = noise_streams([state.task for state in states], planner, protocol.master_seed)
    limits = Limits(protocol.budget, cap, ask_until_iterations=cap)
    drive(planner, problem, noise, meter, limits, take)
    if meter.usage.candidates > last_check:
        in_time = replace(meter.usage, time=min(meter.usage.time, protocol.budget))
        _check(states, problem, task_set, in_time, may_stop=False)


def _check(
    states: list[TrialState], problem: Problem, task_set: TaskSet, usage: Usage, may_stop: bool
) -> None:
    """Executes the incumbents that changed since they were last executed."""
    running = [state for state in states if state.stopped_at is None]
    for state in running:
        state.checks += 1
    changed = [(s, plan) for s in running if s.changed and (plan := s.incumbent.plan) is not None]
    if not changed:
        return
    actions = environment_actions(torch.stack([plan for _, plan in changed]), problem)
    outcomes = execute(task_set.environment, [state.task for state, _ in changed], actions)
    for (state, _), outcome, plan in zip(changed, outcomes, actions, strict=True):
        state.executed(outcome, plan, usage)
        if outcome.success and may_stop:
            state.stopped_at = usage


def _in_hindsight(
    states: list[TrialState], tasks: Sequence[Task], problem: Problem, task_set: TaskSet
) -> list[Hindsight]:
    """Asks the model about every problem's plans, and about its demonstration."""
    environment = task_set.environment
    shown = [s.actions if s.success_actions is None else s.success_actions for s in states]
    final = [state.actions for state in states]
    columns = (
        _realised_costs(states, problem, task_set),
        demonstration_costs(tasks, problem),
        successes_in_model(environment, tasks, problem, shown),
        successes_in_model(environment, tasks, problem, final),
    )
    return [Hindsight(*values) for values in zip(*columns, strict=True)]


def _realised_costs(
    states: list[TrialState], problem: Problem, task_set: TaskSet
) -> list[float | None]:
    """Gives the model cost of where each executed incumbent really ended, None without one."""
    executed = [(b, state.outcome) for b, state in enumerate(states) if state.outcome is not None]
    costs: list[float | None] = [None] * len(states)
    if executed:
        rows = [b for b, _ in executed]
        found = realised_costs(
            task_set.environment,
            [outcome for _, outcome in executed],
            replace(problem, start=problem.start[rows], goal=problem.goal[rows]),
        )
        for b, cost in zip(rows, found, strict=True):
            costs[b] = cost
    return costs
