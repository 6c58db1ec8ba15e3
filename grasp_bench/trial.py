"""One trial: encode, plan on the clock, execute, judge.

The planner never learns of the simulator. The trial keeps each problem's incumbent, the
candidate of lowest model cost so far, and executes it off the clock whenever a check is
due. Ground truth decides when a trial may end, never what its plan is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from grasp_bench.clock import CheckGrid, Clock, make_clock
from grasp_bench.incumbent import Incumbent
from grasp_bench.judge import Verdict, execute
from grasp_bench.models import observe
from grasp_bench.models.metered import MeteredModel
from grasp_bench.problems import encode_problem, noise_streams
from grasp_bench.settings import RunSettings
from grasp_bench.types import Candidate, NoiseStreams, Planner, Problem, Task, WorldModel

# Enough for every planner to have used all of its parts, GRASP's sync included.
WARM_UP_SECONDS, WARM_UP_CANDIDATES = 1.0, 8


@dataclass(frozen=True)
class Outcome:
    """The measured columns of one trial; `grasp_bench.columns` describes each."""

    success: bool
    success_final: bool
    success_block: bool
    time_to_success: float | None
    iterations_to_success: int | None
    rows_forward_to_success: int | None
    rows_backward_to_success: int | None
    planner_time: float
    candidates: int
    iterations: int
    checks: int
    rows_forward: int
    rows_backward: int
    blind_success: bool | None
    blind_success_final: bool | None
    blind_success_block: bool | None
    blind_cost_predicted: float | None
    blind_cost_realised: float | None
    blind_block_distance: float | None
    blind_block_angle_error: float | None
    plan_sha256: str | None
    planner_seconds: float
    encode_seconds: float
    wall_seconds: float


@dataclass(frozen=True)
class _Moment:
    """How far a batch has come; model rows are those of each problem."""

    time: float = 0.0
    seconds: float = 0.0
    candidates: int = 0
    iterations: int = 0
    rows_forward: int = 0
    rows_backward: int = 0


@dataclass
class _Attempt:
    """One problem of the batch while it is being planned."""

    task: Task
    incumbent: Incumbent = field(default_factory=Incumbent)
    changed: bool = False
    checks: int = 0
    verdict: Verdict | None = None
    first_success: Verdict | None = None
    success_at: _Moment | None = None
    stopped_at: _Moment | None = None

    def consider(self, plan: Tensor, cost: float) -> None:
        """Hold a candidate [T, A] against the incumbent."""
        self.changed |= self.incumbent.consider(plan, cost)

    def judge(self, verdict: Verdict, moment: _Moment) -> None:
        """Take note of where executing the incumbent led."""
        self.verdict, self.changed = verdict, False
        if verdict.success and self.first_success is None:
            self.first_success, self.success_at = verdict, moment


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
    attempts = [_Attempt(task) for task in tasks]
    end = _plan(attempts, planner, problem, settings, clock or make_clock(settings))
    realised = _realised_costs(attempts, model, problem.goal)
    wall_seconds = time.perf_counter() - began
    return [
        _outcome(attempt, end, cost, encode_seconds, wall_seconds)
        for attempt, cost in zip(attempts, realised, strict=True)
    ]


def warm_up(
    tasks: Sequence[Task],
    pool: Sequence[Task],
    planner: Planner,
    model: WorldModel,
    settings: RunSettings,
) -> None:
    """Plan for a second and forget it: first calls allocate, compile and cache."""
    seed, device = settings.master_seed, settings.device
    problem, _ = encode_problem(tasks, pool, planner, model, seed, device)
    candidates = planner.plan(problem, noise_streams(tasks, planner, seed))
    end = time.perf_counter() + WARM_UP_SECONDS
    for count, _ in enumerate(candidates, start=1):
        if count >= WARM_UP_CANDIDATES and time.perf_counter() >= end:
            break


def _plan(
    attempts: list[_Attempt],
    planner: Planner,
    problem: Problem,
    settings: RunSettings,
    clock: Clock,
) -> _Moment:
    """Plan and check until every attempt has stopped or the budget ends; returns that moment."""
    model, batch = MeteredModel(problem.model), len(attempts)
    noise = noise_streams([a.task for a in attempts], planner, settings.master_seed)
    candidates = _candidates(planner, replace(problem, model=model), noise)
    grid = CheckGrid(settings.check_first, settings.check_ratio)
    due, last_check = grid.first, 0
    cap = settings.max_iterations or math.inf
    moment = _Moment()
    while any(attempt.stopped_at is None for attempt in attempts):
        candidate = clock.next_candidate(candidates)
        moment = replace(
            moment,
            time=clock.elapsed,
            seconds=clock.seconds,
            rows_forward=model.rows_forward // batch,
            rows_backward=model.rows_backward // batch,
        )
        if candidate is None or clock.elapsed > settings.budget or candidate.iteration > cap:
            break
        moment = replace(moment, candidates=moment.candidates + 1, iterations=candidate.iteration)
        _consider(attempts, candidate)
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


def _candidates(planner: Planner, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
    # A generator of our own, so that what `plan` does before its first yield is on the clock.
    yield from planner.plan(problem, noise)


def _consider(attempts: list[_Attempt], candidate: Candidate) -> None:
    plans, costs = candidate.actions.detach().cpu(), candidate.cost.tolist()
    for attempt, plan, cost in zip(attempts, plans, costs, strict=True):
        if attempt.stopped_at is None:
            attempt.consider(plan, cost)


def _check(attempts: list[_Attempt], problem: Problem, moment: _Moment, may_stop: bool) -> None:
    """Execute the incumbents that changed since they were last executed."""
    running = [attempt for attempt in attempts if attempt.stopped_at is None]
    for attempt in running:
        attempt.checks += 1
    changed = [(a, plan) for a in running if a.changed and (plan := a.incumbent.plan) is not None]
    if not changed:
        return
    plans = torch.stack([plan for _, plan in changed]).to(problem.start.device)
    actions = problem.model.denormalise_actions(plans).cpu().numpy().astype(np.float64)
    verdicts = execute([attempt.task for attempt, _ in changed], actions)
    for (attempt, _), verdict in zip(changed, verdicts, strict=True):
        attempt.judge(verdict, moment)
        if verdict.success and may_stop:
            attempt.stopped_at = moment


def _realised_costs(
    attempts: list[_Attempt], model: WorldModel, goal: Tensor
) -> list[float | None]:
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


def _outcome(
    attempt: _Attempt,
    batch_end: _Moment,
    realised: float | None,
    encode_seconds: float,
    wall_seconds: float,
) -> Outcome:
    end, hit = attempt.stopped_at or batch_end, attempt.success_at
    shown = attempt.first_success or attempt.verdict
    committed = attempt.verdict if attempt.stopped_at is None else None
    blind: tuple[bool | None, bool | None, bool | None]
    if attempt.stopped_at is not None:  # it never came to commit to a plan
        blind = None, None, None
    elif committed is None:  # it had no plan when its budget ended
        blind = False, False, False
    else:
        blind = committed.success, committed.success_final, committed.success_block
    return Outcome(
        success=shown is not None and shown.success,
        success_final=shown is not None and shown.success_final,
        success_block=shown is not None and shown.success_block,
        time_to_success=hit.time if hit else None,
        iterations_to_success=hit.iterations if hit else None,
        rows_forward_to_success=hit.rows_forward if hit else None,
        rows_backward_to_success=hit.rows_backward if hit else None,
        planner_time=end.time,
        candidates=end.candidates,
        iterations=end.iterations,
        checks=attempt.checks,
        rows_forward=end.rows_forward,
        rows_backward=end.rows_backward,
        blind_success=blind[0],
        blind_success_final=blind[1],
        blind_success_block=blind[2],
        blind_cost_predicted=attempt.incumbent.cost if committed else None,
        blind_cost_realised=realised if committed else None,
        blind_block_distance=committed.block_distance if committed else None,
        blind_block_angle_error=committed.block_angle_error if committed else None,
        plan_sha256=attempt.incumbent.sha256(),
        planner_seconds=end.seconds,
        encode_seconds=encode_seconds,
        wall_seconds=wall_seconds,
    )
