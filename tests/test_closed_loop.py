"""Closed loop: replanning from the simulator's state within the horizon."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
import torch

from envs.pusht import rollout as simulate
from grasp_bench.clock import WallClock
from grasp_bench.models import load_model, observe
from grasp_bench.models.linear import LinearModel
from grasp_bench.objective import goal_cost
from grasp_bench.planners import make_planner
from grasp_bench.recreate import agreement, plan_again, recreate
from grasp_bench.results import read_results, write_rows
from grasp_bench.tasks import load_tasks
from grasp_bench.trial import run_trials
from grasp_bench.types import Candidate
from grasp_bench.verification import check_trials

HORIZON, STEPS = 20, 4
PX_PER_ACTION = 20.0


class Timer:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@dataclass(frozen=True)
class Scripted:
    """Gives its demonstration after each of the planned seconds; notes what it is given."""

    name: ClassVar[str] = "scripted"
    reference: ClassVar[str] = "own"

    timer: Timer
    seconds: tuple[float, ...]
    problems: list = field(default_factory=list)
    draws: list = field(default_factory=list)

    def plan(self, problem, noise):
        self.problems.append(problem)
        self.draws.append(noise.normal(3, like=problem.start))
        for number, seconds in enumerate(self.seconds, start=1):
            self.timer.seconds += seconds
            actions = problem.reference_actions
            yield Candidate(actions, goal_cost(problem, actions), number)


@dataclass(frozen=True)
class StraightToGoal:
    """Moves the agent towards its goal in equal steps, as a linear model says it would."""

    name: ClassVar[str] = "straight"
    reference: ClassVar[str] = "none"

    def plan(self, problem, noise):
        way = (problem.goal - problem.start)[:, :2] / (problem.steps * 5 * PX_PER_ACTION)
        actions = way.repeat(1, 5)[:, None].expand(-1, problem.steps, -1)
        yield Candidate(actions, goal_cost(problem, actions), 1)


@pytest.fixture(scope="module")
def tasks():
    return load_tasks("eval", HORIZON, 8).tasks


@pytest.fixture(scope="module")
def model():
    control = torch.zeros(4, 10)
    control[0, 0::2] = control[1, 1::2] = PX_PER_ACTION
    world = LinearModel(torch.eye(4), control)
    world.image_size = 8
    return world


@pytest.fixture
def trial(tasks, model, make_settings):
    """Runs a scripted planner in closed loop on the fake wall clock, budget 8 seconds."""

    def run(seconds, batch=1, **settings):
        timer = Timer()
        defaults = {"clock": "wall", "budget": 8.0, "protocol": "mpc", "replan_every": 1}
        planner = Scripted(timer, tuple(seconds))
        outcomes = run_trials(
            tasks[:batch],
            tasks,
            planner,
            model,
            make_settings(**(defaults | settings)),
            WallClock("cpu", now=timer),
        )
        return planner, outcomes

    return run


def test_every_planning_sees_the_steps_that_are_left_from_where_the_plan_led(trial, tasks, model):
    planner, _ = trial([2.0], batch=2, stop="never")
    assert [problem.steps for problem in planner.problems] == [4, 3, 2, 1]
    assert [p.reference_actions.shape[1] for p in planner.problems] == [4, 3, 2, 1]
    for done, problem in enumerate(planner.problems):
        for b, task in enumerate(tasks[:2]):
            states = simulate(task.start_state[None], task.demo_actions[None, : 5 * done])
            start = model.encode(observe(states[:, -1], model))
            torch.testing.assert_close(problem.start[b], start[0], atol=0.1, rtol=0)
    planner, _ = trial([2.0], replan_every=3, stop="never")
    assert [problem.steps for problem in planner.problems] == [4, 1]
    planner, _ = trial([2.0], replan_every=9, stop="never")
    assert [problem.steps for problem in planner.problems] == [4]


def test_plannings_share_the_time_that_is_left(trial):
    _, (even,) = trial([0.5] * 20, stop="never")
    assert even.replan_candidates == "4 4 4 4"
    assert (even.candidates, even.iterations, even.planner_time) == (16, 16, 8.0)
    _, (slow,) = trial([3.0] * 20, stop="never")  # the third comes after the budget
    assert slow.replan_candidates == "1 1 0 0"
    _, (ends,) = trial([0.5], stop="never")
    assert ends.replan_candidates == "1 1 1 1"
    assert ends.planner_time == 2.0
    _, (capped,) = trial([0.5] * 20, stop="never", max_iterations=8)
    assert capped.replan_candidates == "2 2 2 2"


def test_a_planning_without_a_plan_follows_the_one_before_and_nothing_before_the_first(trial):
    _, (once,) = trial([7.0] * 2, stop="never")
    assert once.replan_candidates == "1 0 0 0"
    assert once.success
    assert once.blind_success
    _, (never,) = trial([9.0], stop="never")
    assert not never.success
    assert never.blind_success is False
    assert never.plan_sha256 is None
    assert never.checks == 0


def test_a_first_success_ends_the_planning_and_not_the_plan(trial):
    _, (whole,) = trial([2.0], stop="never")
    planner, (stopped,) = trial([2.0])
    assert whole.success
    assert stopped.success
    assert stopped.time_to_success == whole.time_to_success == stopped.planner_time
    assert stopped.checks == len(planner.problems) == len(stopped.replan_candidates.split())
    assert stopped.success_final == whole.success_final
    assert stopped.blind_success is None
    assert whole.blind_success is True
    assert whole.checks == STEPS
    assert stopped.plan_sha256 == whole.plan_sha256


def test_a_demonstration_is_followed_to_its_end(tasks, model, make_settings):
    planner = make_planner("demo", {})
    closed = make_settings(stop="never", protocol="mpc", replan_every=1)
    demo = run_trials(tasks, tasks, planner, model, closed)
    assert all(o.success and o.success_final and o.success_block for o in demo)
    opened = run_trials(tasks, tasks, planner, model, make_settings(stop="never"))
    assert [o.plan_sha256 for o in demo] == [o.plan_sha256 for o in opened]
    assert {o.replan_candidates for o in opened} == {None}
    zero = run_trials(tasks, tasks, make_planner("zero", {}), model, closed)
    assert not any(outcome.success for outcome in zero)


def test_replanning_mends_what_the_model_gets_wrong(tasks, model, make_settings):
    def distances(**settings):
        chosen = make_settings(stop="never", **settings)
        outcomes = run_trials(tasks, tasks, StraightToGoal(), model, chosen)
        return np.array([outcome.blind_cost_realised for outcome in outcomes])

    opened = distances()
    halves = distances(protocol="mpc", replan_every=2)
    closed = distances(protocol="mpc", replan_every=1)
    assert np.median(halves / opened) < 0.7
    assert np.median(closed / opened) < 0.4


def test_every_planning_draws_its_own_numbers_whatever_the_others_drew(trial):
    few, _ = trial([2.0], stop="never")
    many, _ = trial([0.25] * 20, stop="never", batch=3)
    for one, other in zip(few.draws, many.draws, strict=True):
        assert torch.equal(one, other[:1])
    assert len({tuple(draw[0].tolist()) for draw in few.draws}) == STEPS


@pytest.mark.parametrize("planner", ["cem", "grasp", "random"])
@pytest.mark.parametrize("clock", [{}, {"clock": "wall", "budget": 0.3, "check_first": 0.02}])
def test_a_closed_loop_trial_comes_back_bit_for_bit(
    make_trial_rows, responsive_checkpoint, tmp_path, planner, clock
):
    overrides = {
        "grasp": {"sync_every": "5", "yield_every": "5"},
        "cem": {"samples": "16", "elites": "4"},
    }
    (row,) = make_trial_rows(
        planner,
        overrides.get(planner),
        protocol="mpc",
        replan_every=2,
        **clock,
    )
    assert row["status"] == "ok"
    trial = recreate(row, str(responsive_checkpoint))
    again = plan_again(trial)
    assert again.agrees
    assert "bit for bit" in agreement(trial, again)
    assert again.verdict.success == row["blind_success"]
    write_rows(tmp_path / "trials.parquet", [row])
    (checked,) = check_trials(
        read_results(tmp_path / "trials.parquet"), 1, 0, str(responsive_checkpoint)
    )
    assert checked.agrees


def test_the_shipped_model_plans_in_closed_loop(make_settings):
    model, tasks = load_model("pusht-compact").model, load_tasks("eval", HORIZON, 4).tasks
    planner = make_planner("cem", {"samples": 64, "elites": 8})
    settings = make_settings(budget=40.0, protocol="mpc", replan_every=1, stop="never")
    outcomes, again = (run_trials(tasks, tasks, planner, model, settings) for _ in range(2))
    assert sum(outcome.success for outcome in outcomes) >= 2
    assert {outcome.replan_candidates for outcome in outcomes} == {"10 10 10 10"}
    assert [o.plan_sha256 for o in outcomes] == [o.plan_sha256 for o in again]
