"""One trial: encode, plan on the clock, execute, judge.

The planner never learns of the simulator. The trial keeps each problem's incumbent, the
candidate of lowest model cost so far, and executes it off the clock whenever a check is
due. Ground truth decides when a trial may end, never what its plan is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from grasp_bench.attempt import Attempt, Meter, Moment, Outcome, consider, outcome
from grasp_bench.clock import CheckGrid, Clock, make_clock
from grasp_bench.closed_loop import ClosedLoop, plan_closed_loop
from grasp_bench.judge import Verdict, execute
from grasp_bench.models import observe
from grasp_bench.models.metered import MeteredModel
from grasp_bench.problems import candidates_of, encode_problem, environment_actions, noise_streams
from grasp_bench.settings import RunSettings
from grasp_bench.types import Planner, Problem, Task, WorldModel

# As a rule enough for a planner to have used all of its parts, such as GRASP's sync.
WARM_UP_SECONDS, WARM_UP_CANDIDATES = 1.0, 8


def run_trials(
    tasks: Sequence[Task],
    pool: Sequence[Task],
    planner: Planner,
    model: WorldModel,
    settings: RunSettings,
    clock: Clock | None = None,
) -> list[Outcome]:
    """Run one trial per task, all planned as one batch.

    A problem of a batch ends by itself; the batch ends with its last problem. A candidate
    that arrives after the budget does not count.

    Args:
        tasks: B tasks of one horizon.
        pool: all tasks of that set and horizon, for planners that want another's reference.
        planner: asked for candidates until the trial ends.
        model: on the device of the settings.
        settings: clock, budget, stop rule and master seed.
        clock: by default one of the kind that the settings name.
    """
    began = time.perf_counter()
    problem, encode_seconds = encode_problem(
        tasks, pool, planner, model, settings.master_seed, settings.device
    )
    attempts = [Attempt(task) for task in tasks]
    clock = clock or make_clock(settings)
    if settings.replan_every is None:
        end = _plan(attempts, planner, problem, settings, clock)
    else:
        loop = ClosedLoop(tasks, problem, settings.replan_every)
        end = plan_closed_loop(attempts, loop, planner, settings, clock)
        encode_seconds += loop.encode_seconds
    realised = _realised_costs(attempts, model, problem.goal)
    wall_seconds = time.perf_counter() - began
    return [
        outcome(attempt, end, cost, encode_seconds, wall_seconds)
        for attempt, cost in zip(attempts, realised, strict=True)
    ]


def warm_up(
    tasks: Sequence[Task],
    pool: Sequence[Task],
    planner: Planner,
    model: WorldModel,
    settings: RunSettings,
) -> None:
    """Plan for a second and forget it: first calls allocate, compile and cache.

    Until there are `WARM_UP_CANDIDATES`, but then for no longer than a trial may take.
    """
    seed, device = settings.master_seed, settings.device
    problem, _ = encode_problem(tasks, pool, planner, model, seed, device)
    candidates = planner.plan(problem, noise_streams(tasks, planner, seed))
    begin = time.perf_counter()
    for count, _ in enumerate(candidates, start=1):
        seconds = time.perf_counter() - begin
        enough = count >= WARM_UP_CANDIDATES or seconds >= settings.budget
        if enough and seconds >= WARM_UP_SECONDS:
            break


def _plan(
    attempts: list[Attempt],
    planner: Planner,
    problem: Problem,
    settings: RunSettings,
    clock: Clock,
) -> Moment:
    """Plan and check until every attempt has stopped or the budget ends; returns that moment."""
    model = MeteredModel(problem.model)
    meter = Meter(clock, model, len(attempts))
    noise = noise_streams([a.task for a in attempts], planner, settings.master_seed)
    candidates = candidates_of(planner, replace(problem, model=model), noise)
    grid = CheckGrid(settings.check_first, settings.check_ratio)
    due, last_check = grid.first, 0
    cap = settings.max_iterations or math.inf
    moment = Moment()
    while any(attempt.stopped_at is None for attempt in attempts):
        candidate = clock.next_candidate(candidates)
        moment = meter.read(moment)
        if candidate is None or clock.elapsed > settings.budget or candidate.iteration > cap:
            break
        moment = replace(moment, candidates=moment.candidates + 1, iterations=candidate.iteration)
        consider(attempts, candidate)
        if clock.elapsed >= settings.budget or candidate.iteration >= cap:
            break
        if clock.elapsed >= due:
            _check(attempts, problem, moment, may_stop=settings.stop == "first-success")
            due, last_check = grid.next_after(clock.elapsed), moment.candidates
    # The end of the budget is the last check: the plan that the planner commits to.
    if moment.candidates > last_check:
        in_time = replace(moment, time=min(moment.time, settings.budget))
        _check(attempts, problem, in_time, may_stop=False)
    return moment


def _check(attempts: list[Attempt], problem: Problem, moment: Moment, may_stop: bool) -> None:
    """Execute the incumbents that changed since they were last executed."""
    running = [attempt for attempt in attempts if attempt.stopped_at is None]
    for attempt in running:
        attempt.checks += 1
    changed = [(a, plan) for a in running if a.changed and (plan := a.incumbent.plan) is not None]
    if not changed:
        return
    actions = environment_actions(torch.stack([plan for _, plan in changed]), problem)
    verdicts = execute([attempt.task for attempt, _ in changed], actions)
    for (attempt, _), verdict in zip(changed, verdicts, strict=True):
        attempt.judge(verdict, moment)
        if verdict.success and may_stop:
            attempt.stopped_at = moment


def _realised_costs(attempts: list[Attempt], model: WorldModel, goal: Tensor) -> list[float | None]:
    """Model cost of where each executed incumbent really ended, None without one."""
    executed = [(b, a.verdict) for b, a in enumerate(attempts) if a.verdict is not None]
    costs: list[float | None] = [None] * len(attempts)
    if executed:
        rows = [b for b, _ in executed]
        distances = realised_costs([verdict for _, verdict in executed], model, goal[rows])
        for b, distance in zip(rows, distances, strict=True):
            costs[b] = distance
    return costs


def realised_costs(verdicts: Sequence[Verdict], model: WorldModel, goal: Tensor) -> list[float]:
    """Model distances of where B plans really ended to their goals [B, *Z]."""
    ends = np.stack([verdict.final_state for verdict in verdicts])
    with torch.no_grad():
        costs: list[float] = model.distance(model.encode(observe(ends, model)), goal).tolist()
    return costs
