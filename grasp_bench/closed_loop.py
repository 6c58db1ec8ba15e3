"""Closed loop, model-predictive control: replan from the simulator's state, within the horizon.

Of every plan the first k model steps are executed. The next planning starts where those
really led and has the steps that are left, T - k, T - 2 k, … 0, so that a trial takes no
more environment steps than an open-loop one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from grasp_bench.attempt import Attempt, Meter, Moment, consider
from grasp_bench.clock import Clock
from grasp_bench.incumbent import Incumbent
from grasp_bench.judge import Verdict, execute
from grasp_bench.models.metered import MeteredModel
from grasp_bench.objective import goal_cost
from grasp_bench.planners.base import no_action
from grasp_bench.problems import (
    candidates_of,
    environment_actions,
    noise_streams,
    remaining_problem,
)
from grasp_bench.settings import RunSettings
from grasp_bench.types import Candidate, Planner, Problem, Task


@dataclass(frozen=True)
class Planning:
    """One of the plannings of a closed loop.

    Attributes:
        number: from 0.
        left: how many plannings there are from this one on.
        begin: model steps that have been executed.
        problem: what is left of the problems.
        incumbents: [B] to be improved on: what is left of the plans so far, at the cost that
            the model gives them from where they have led.
    """

    number: int
    left: int
    begin: int
    problem: Problem
    incumbents: list[Incumbent]


class ClosedLoop:
    """B plans that are executed step by step and replanned on the way.

    Until a planning has given a plan nothing is done; a planning without one leaves the
    plan as it is. All executions replay the actions from the start in a fresh simulator,
    which is deterministic, so the contacts are those of one uninterrupted execution.

    Attributes:
        problem: B problems of T steps.
        committed: [B] the whole plans [T, A] and the cost at which each was last committed to.
        encode_seconds: encoding the states that plannings after the first started from.
    """

    def __init__(self, tasks: Sequence[Task], problem: Problem, replan_every: int) -> None:
        self.problem = problem
        self.committed = [Incumbent() for _ in tasks]
        self.encode_seconds = 0.0
        self._tasks = tasks
        self._every = replan_every
        self._actions = no_action(problem).cpu()

    def plannings(self) -> Iterator[Planning]:
        """One after the other; `carry_out` each before asking for the next."""
        begins = range(0, self.problem.steps, self._every)
        for number, begin in enumerate(begins):
            rest = self._remaining(begin) if begin else self.problem
            left = len(begins) - number
            yield Planning(number, left, begin, rest, self._incumbents(rest, begin))

    def carry_out(self, planning: Planning) -> list[Verdict]:
        """Commit to the incumbents; the verdicts on all that is executed by then."""
        for b, incumbent in enumerate(planning.incumbents):
            if incumbent.plan is not None:
                self._actions[b, planning.begin :] = incumbent.plan
                self.committed[b] = Incumbent(self._actions[b].clone(), incumbent.cost)
        return self.execute(planning.begin + self._every)

    def execute(self, steps: int | None = None) -> list[Verdict]:
        """The verdicts on the first model steps of the plans, by default on all of them."""
        return execute(self._tasks, environment_actions(self._actions[:, :steps], self.problem))

    def _remaining(self, begin: int) -> Problem:
        states = np.stack([verdict.final_state for verdict in self.execute(begin)])
        rest, seconds = remaining_problem(self.problem, states, begin)
        self.encode_seconds += seconds
        return rest

    def _incumbents(self, rest: Problem, begin: int) -> list[Incumbent]:
        plans = self._actions[:, begin:]
        with torch.no_grad():
            costs: list[float] = goal_cost(rest, plans.to(rest.start)).tolist()
        incumbents = [Incumbent() for _ in costs]
        for incumbent, committed, plan, cost in zip(
            incumbents, self.committed, plans, costs, strict=True
        ):
            if committed.plan is not None:
                incumbent.consider(plan, cost)
        return incumbents


def plan_closed_loop(
    attempts: Sequence[Attempt],
    loop: ClosedLoop,
    planner: Planner,
    settings: RunSettings,
    clock: Clock,
) -> Moment:
    """Plan, execute and replan until every attempt has stopped or all steps are executed.

    Every planning has an equal share of the planner time and iterations that are left, and
    while there is any gets at least one candidate. An attempt that stops at its first
    success follows its plan to the end, so that its outcome is that of a whole execution.
    """
    moment, may_stop = Moment(), settings.stop == "first-success"
    model = MeteredModel(loop.problem.model)
    meter = Meter(clock, model, len(attempts))
    for attempt in attempts:
        attempt.plannings = []
    for planning in loop.plannings():
        noise = noise_streams(
            [a.task for a in attempts], planner, settings.master_seed, planning.number
        )
        candidates = candidates_of(planner, replace(planning.problem, model=model), noise)
        before, moment = moment, _plan(attempts, planning, candidates, settings, meter, moment)
        shown_at = replace(moment, time=min(moment.time, settings.budget))
        count = moment.candidates - before.candidates
        _judge(attempts, loop.carry_out(planning), shown_at, count, may_stop)
        if all(attempt.stopped_at is not None for attempt in attempts):
            break
    for attempt, committed, verdict in zip(attempts, loop.committed, loop.execute(), strict=True):
        attempt.incumbent = committed
        if committed.plan is not None:
            attempt.verdict = verdict
        if attempt.first_success is not None:
            attempt.first_success = verdict
    return moment


def _plan(
    attempts: Sequence[Attempt],
    planning: Planning,
    candidates: Iterator[Candidate],
    settings: RunSettings,
    meter: Meter,
    moment: Moment,
) -> Moment:
    """Improve the incumbents for as long as the planning's share lasts; returns its end."""
    clock, cap, done = meter.clock, settings.max_iterations or math.inf, moment.iterations
    time_up = clock.elapsed + (settings.budget - clock.elapsed) / planning.left
    last_iteration = done + (cap - done) / planning.left
    for attempt, incumbent in zip(attempts, planning.incumbents, strict=True):
        attempt.incumbent = incumbent
    while clock.elapsed < time_up and moment.iterations < last_iteration:
        candidate = clock.next_candidate(candidates)
        moment = meter.read(moment)
        if candidate is None or clock.elapsed > settings.budget or done + candidate.iteration > cap:
            break
        moment = replace(
            moment, candidates=moment.candidates + 1, iterations=done + candidate.iteration
        )
        consider(attempts, candidate)
    return moment


def _judge(
    attempts: Sequence[Attempt],
    verdicts: Sequence[Verdict],
    moment: Moment,
    candidates: int,
    may_stop: bool,
) -> None:
    """Take note of where the executed steps of the attempts that go on have led."""
    for attempt, verdict in zip(attempts, verdicts, strict=True):
        if attempt.stopped_at is not None or attempt.plannings is None:
            continue
        attempt.plannings.append(candidates)
        if attempt.incumbent.plan is None:
            continue
        attempt.checks += 1
        attempt.judge(verdict, moment)
        if verdict.success and may_stop:
            attempt.stopped_at = moment
