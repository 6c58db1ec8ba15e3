"""Plans in closed loop: executes k steps, then replans over the remaining T - k.

The next planning starts where the executed steps really led. It has the steps that are
left, T - k, T - 2 k, ... 0, so a trial takes no more environment steps than an open-loop one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from grasp_bench.core.types import Candidate, FloatArray, Planner, Problem, Task
from grasp_bench.envs import Environment, PlanOutcome
from grasp_bench.planners.objective import goal_cost
from grasp_bench.planners.shared import no_action
from grasp_bench.trial.drive import Limits, Meter, drive
from grasp_bench.trial.outcome import execute
from grasp_bench.trial.problems import environment_actions, noise_streams, remaining_problem
from grasp_bench.trial.protocol import TrialProtocol
from grasp_bench.trial.trial_state import Incumbent, TrialState, consider


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

    def __init__(
        self,
        environment: Environment,
        tasks: Sequence[Task],
        problem: Problem,
        replan_every: int,
    ) -> None:
        self.problem = problem
        self._environment = environment
        self.committed = [Incumbent() for _ in tasks]
        self.encode_seconds = 0.0
        self._tasks = tasks
        self._every = replan_every
        self._actions = no_action(problem).cpu()

    def plannings(self) -> Iterator[Planning]:
        """Yields one after the other; `carry_out` each before asking for the next."""
        begins = range(0, self.problem.steps, self._every)
        for number, begin in enumerate(begins):
            rest = self._remaining(begin) if begin else self.problem
            left = len(begins) - number
            yield Planning(number, left, begin, rest, self._incumbents(rest, begin))

    def carry_out(self, planning: Planning) -> list[PlanOutcome]:
        """Commits to the incumbents; returns the outcomes of what is executed by then."""
        for b, incumbent in enumerate(planning.incumbents):
            if incumbent.plan is not None:
                self._actions[b, planning.begin :] = incumbent.plan
                self.committed[b] = Incumbent(self._actions[b].clone(), incumbent.cost)
        return self.execute(planning.begin + self._every)

    def environment_actions(self) -> FloatArray:
        """Returns the plans so far as environment actions [B, H, E]."""
        return environment_actions(self._actions, self.problem)

    def execute(self, steps: int | None = None) -> list[PlanOutcome]:
        """Returns the outcomes of the first model steps of the plans, by default of all of them."""
        actions = environment_actions(self._actions[:, :steps], self.problem)
        return execute(self._environment, self._tasks, actions)

    def _remaining(self, begin: int) -> Problem:
        states = np.stack([outcome.states[-1] for outcome in self.execute(begin)])
        rest, seconds = remaining_problem(self.problem, self._environment, states, begin)
        self.encode_seconds += seconds
        return rest

    def _incumbents(self, rest: Problem, begin: int) -> list[Incumbent]:
        plans = self._actions[:, begin:]
        with torch.no_grad():
            costs: list[float] = goal_cost(rest, plans.to(rest.start)).tolist()
        incumbents = [Incumbent() for _ in costs]
        together = zip(incumbents, self.committed, plans, costs, strict=True)
        for incumbent, committed, plan, cost in together:
            if committed.plan is not None:
                incumbent.consider(plan, cost)
        return incumbents


def plan_closed_loop(
    states: Sequence[TrialState],
    loop: ClosedLoop,
    planner: Planner,
    protocol: TrialProtocol,
    meter: Meter,
) -> None:
    """Plans, executes and replans until every problem has stopped or all steps are executed.

    Every planning has an equal share of the planner time and iterations that are left, and
    while there is any gets at least one candidate. A problem that stops at its first
    success follows its plan to the end, so that its outcome is that of a whole execution.
    """
    for state in states:
        state.plannings = []
    for planning in loop.plannings():
        before = meter.usage.candidates
        _improve(states, planning, planner, protocol, meter)
        _judge(states, loop.carry_out(planning), loop, protocol, meter, before)
        if all(state.stopped_at is not None for state in states):
            break
    whole = loop.committed, loop.execute(), loop.environment_actions()
    for state, committed, outcome, actions in zip(states, *whole, strict=True):
        state.incumbent = committed
        if committed.plan is not None:
            state.outcome, state.actions = outcome, actions
        if state.first_success is not None:
            state.first_success, state.success_actions = outcome, actions


def _improve(
    states: Sequence[TrialState],
    planning: Planning,
    planner: Planner,
    protocol: TrialProtocol,
    meter: Meter,
) -> None:
    """Improves the incumbents for as long as the planning's share lasts."""
    cap, elapsed, done = protocol.max_iterations or math.inf, meter.clock.elapsed, meter.usage
    limits = Limits(
        protocol.budget,
        cap,
        ask_until=elapsed + (protocol.budget - elapsed) / planning.left,
        ask_until_iterations=done.iterations + (cap - done.iterations) / planning.left,
    )
    for state, incumbent in zip(states, planning.incumbents, strict=True):
        state.incumbent = incumbent

    def take(candidate: Candidate) -> bool:
        consider(states, candidate, planning.problem)
        return False

    tasks = [state.task for state in states]
    noise = noise_streams(tasks, planner, protocol.master_seed, planning.number)
    drive(planner, planning.problem, noise, meter, limits, take)


def _judge(
    states: Sequence[TrialState],
    outcomes: Sequence[PlanOutcome],
    loop: ClosedLoop,
    protocol: TrialProtocol,
    meter: Meter,
    candidates_before: int,
) -> None:
    """Takes note of where the executed steps of the problems that go on have led."""
    shown_at = replace(meter.usage, time=min(meter.usage.time, protocol.budget))
    plans = loop.environment_actions()
    for state, outcome, actions in zip(states, outcomes, plans, strict=True):
        if state.stopped_at is not None or state.plannings is None:
            continue
        state.plannings.append(meter.usage.candidates - candidates_before)
        if state.incumbent.plan is None:
            continue
        state.checks += 1
        state.executed(outcome, actions, shown_at)
        if outcome.success and protocol.stop == "first-success":
            state.stopped_at = shown_at
