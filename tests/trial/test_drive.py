"""The only loop that asks a planner for candidates, on a fake clock."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate
from grasp_bench.models.linear import linear_problem
from grasp_bench.trial.clock import Clock
from grasp_bench.trial.drive import Limits, Meter, drive


@dataclass(frozen=True)
class Steady:
    """Ten iterations and a model step a candidate, each after so many seconds."""

    name: ClassVar[str] = "steady"
    reference: ClassVar[str] = "none"

    timer: Any
    seconds: float = 1.0
    before: float = 0.0
    ends_after: int = 50
    problems: list = field(default_factory=list)

    def plan(self, problem, noise):
        self.timer.seconds += self.before  # at once, as this is no generator
        self.problems.append(problem)
        return self._candidates(problem)

    def _candidates(self, problem):
        actions = problem.start.new_zeros(problem.batch, problem.steps, problem.model.action_dim)
        for number in range(1, self.ends_after + 1):
            self.timer.seconds += self.seconds
            problem.model.step(problem.start, actions[:, 0])
            yield Candidate(actions, problem.start.new_zeros(problem.batch), 10 * number)


@pytest.fixture
def problem():
    return linear_problem(batch=2, steps=3)


@pytest.fixture
def meter(timer, problem):
    return Meter(Clock("cpu", now=timer), problem.model, problem.batch)


@pytest.fixture
def run(problem, meter):
    """Drives a planner; returns the iterations of the candidates that counted."""

    def run(planner, stop=lambda candidate: False, **limits):
        seen = []

        def take(candidate):
            seen.append(candidate.iteration)
            return stop(candidate)

        noise = NoiseStreams.from_seeds([0, 1])
        drive(planner, problem, noise, meter, Limits(**limits), take)
        return seen

    return run


def test_a_candidate_that_arrives_after_the_budget_does_not_count(run, timer, meter):
    assert run(Steady(timer, seconds=2.0), budget=5.0) == [10, 20]
    assert (meter.usage.candidates, meter.usage.iterations) == (2, 20)
    assert meter.usage.time == meter.usage.seconds == 6.0  # the late one took time all the same


def test_none_is_asked_for_once_the_budget_is_used(run, timer):
    assert run(Steady(timer, seconds=2.0), budget=4.0) == [10, 20]
    assert timer.seconds == 4.0


def test_work_before_the_first_candidate_is_on_the_clock(run, timer, meter):
    assert run(Steady(timer, before=3.0), budget=5.0) == [10, 20]
    assert meter.usage.time == 5.0
    timer.seconds = 0.0
    assert run(Steady(timer, before=7.0), budget=11.0) == []


def test_the_callers_own_time_is_not(run, timer, meter):
    def look(candidate):
        timer.seconds += 100
        return False

    assert len(run(Steady(timer), look, budget=5.0)) == 5
    assert meter.usage.time == 5.0


def test_it_stops_when_it_is_told_to_and_when_the_planner_ends(run, timer):
    assert run(Steady(timer), lambda candidate: candidate.iteration == 30) == [10, 20, 30]
    assert run(Steady(timer, ends_after=4)) == [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        ({"max_iterations": 35}, 3),
        ({"max_iterations": 40}, 4),
        ({"ask_until": 2.5}, 3),  # asked for in time, so it counts
        ({"ask_until_iterations": 25}, 3),
        ({"ask_until": 9.0, "budget": 2.0}, 2),
    ],
)
def test_every_limit_ends_it(run, timer, limits, count):
    assert len(run(Steady(timer), **limits)) == count


def test_a_meter_goes_on_over_several_plannings(run, timer, meter):
    assert run(Steady(timer), ask_until=2.0) == [10, 20]
    assert run(Steady(timer), ask_until=5.0, budget=9.0) == [10, 20, 30]
    assert (meter.usage.candidates, meter.usage.iterations, meter.usage.time) == (5, 50, 5.0)
    assert run(Steady(timer), max_iterations=75) == [10, 20]


def test_a_planner_is_shown_the_problem_with_a_counting_model(run, timer, meter, problem):
    planner = Steady(timer)
    run(planner, budget=4.0)
    (shown,) = planner.problems
    assert shown.model is meter.model
    assert torch.equal(shown.start, problem.start)
    assert shown.start is not problem.start
    assert meter.usage.model_evals_forward == 4  # of each problem
    assert meter.usage.model_evals_backward == 0
