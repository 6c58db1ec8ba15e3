"""Asks a planner for candidates: the only loop that does.

A trial, each planning of a closed loop, a warm-up, a replay and a figure of a planner's
history all call `drive`. They differ in the clock, the limits and what they do with a
candidate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Planner, Problem, WorldModel
from grasp_bench.planners.objective import goal_cost, goal_distance
from grasp_bench.trial.clock import Clock
from grasp_bench.trial.metered import MeteredModel
from grasp_bench.trial.promises import Watch, check_costs, expect
from grasp_bench.trial.trial_state import Usage


class Meter:
    """Counts what the planning of a batch uses, over one planning or several.

    Attributes:
        clock: runs while the planner plans.
        model: the world model, counting.
        usage: so far; model evaluations are those of each problem.
    """

    def __init__(self, clock: Clock, model: WorldModel, batch: int) -> None:
        self.clock = clock
        self.model = MeteredModel(model)
        self.usage = Usage()
        self._batch = batch

    def read(self) -> None:
        """Brings time, seconds and model evaluations up to date."""
        self.usage = replace(
            self.usage,
            time=self.clock.elapsed,
            seconds=self.clock.seconds,
            model_evals_forward=self.model.model_evals_forward // self._batch,
            model_evals_backward=self.model.model_evals_backward // self._batch,
        )

    def count(self, iterations: int) -> None:
        """Counts a candidate with that many iterations behind it."""
        self.usage = replace(
            self.usage, candidates=self.usage.candidates + 1, iterations=iterations
        )


@dataclass(frozen=True)
class Limits:
    """When to stop asking.

    Attributes:
        budget: planner time; a candidate that arrives later does not count.
        max_iterations: a candidate with more iterations behind it does not count.
        ask_until: planner time from which no further candidate is asked for.
        ask_until_iterations: iterations from which no further candidate is asked for.
    """

    budget: float = math.inf
    max_iterations: float = math.inf
    ask_until: float = math.inf
    ask_until_iterations: float = math.inf


def drive(
    planner: Planner,
    problem: Problem,
    noise: NoiseStreams,
    meter: Meter,
    limits: Limits,
    on_candidate: Callable[[Candidate], bool],
) -> None:
    """Asks for candidates until the limits, the planner's end, or `on_candidate` says stop.

    Args:
        planner: sees the problem, its noise and a counting model.
        problem: of batch B.
        noise: B streams.
        meter: goes on counting from where it stands.
        limits: of this planning.
        on_candidate: takes each candidate that counts; returns whether to stop.

    Raises:
        BrokenPromiseError: a candidate, or what the planner did, breaks the protocol.
    """
    done = meter.usage.iterations
    watch = Watch(replace(problem, model=meter.model))
    candidates = candidates_of(planner, watch.problem, noise)
    ask_until = min(limits.ask_until, limits.budget)
    while meter.clock.elapsed < ask_until and meter.usage.iterations < limits.ask_until_iterations:
        candidate = watch.ask(lambda: meter.clock.next_candidate(candidates))
        meter.read()
        if candidate is None:
            expect(meter.usage.candidates > 0, "it ends without showing a plan")
            break
        if meter.clock.elapsed > limits.budget:
            break
        iterations = done + candidate.iteration
        if iterations > limits.max_iterations:
            break
        meter.count(iterations)
        if on_candidate(within_limits(candidate, problem)):
            break
    watch.end(candidates.close)


def within_limits(candidate: Candidate, problem: Problem) -> Candidate:
    """Returns the candidate with its plans moved to the action limits that they exceed.

    A plan that was moved costs what the model now predicts for it. This happens off the clock,
    and only for planners that do not see to it themselves.

    Raises:
        BrokenPromiseError: the cost of a plan as it was is not what a rollout of the model gives.
    """
    actions = problem.project(candidate.actions)
    moved = (actions != candidate.actions) & candidate.actions.isfinite()
    if not bool(moved.any()):
        return candidate
    with torch.no_grad():
        idle = goal_distance(problem, problem.start, problem.goal)
        check_costs(candidate.cost.detach(), goal_cost(problem, candidate.actions), idle)
        cost = torch.where(moved.any(dim=(1, 2)), goal_cost(problem, actions), candidate.cost)
    return replace(candidate, actions=actions, cost=cost)


def candidates_of(
    planner: Planner, problem: Problem, noise: NoiseStreams
) -> Generator[Candidate, None, None]:
    """Yields a planner's candidates; puts off what `plan` does until the first is asked for.

    Raises:
        BrokenPromiseError: it yields None, which says elsewhere that there are no more.
    """
    for candidate in planner.plan(problem, noise):
        expect(candidate is not None, "it yields None, not a Candidate")
        yield candidate
