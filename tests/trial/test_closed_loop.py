"""Closed loop: replanning from the simulator's state within the horizon."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from grasp_bench.core.types import Candidate
from grasp_bench.models import load_model
from grasp_bench.planners import make_planner
from grasp_bench.planners.objective import goal_cost
from grasp_bench.run.store import read_results, write_rows
from grasp_bench.tasks import load_tasks
from grasp_bench.trial.clock import Clock
from grasp_bench.trial.replay import load_trial, replay_trial
from grasp_bench.trial.replay_check import check_trials
from grasp_bench.trial.trials import run_trials

HORIZON, STEPS = 20, 4
PX_PER_ACTION = 20.0


@dataclass(frozen=True)
class Scripted:
    """Gives its demonstration after each of the planned seconds; notes what it is given."""

    name: ClassVar[str] = "scripted"
    reference: ClassVar[str] = "own"

    timer: Any
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
def task_set():
    return load_tasks("eval", HORIZON, 8)


@pytest.fixture
def run(task_set, model, make_protocol):
    """Runs a planner on the first tasks, by default on all eight."""

    def run(planner, batch=8, meter=None, **protocol):
        chosen = make_protocol(**({"stop": "never"} | protocol))
        return run_trials(task_set, task_set.tasks[:batch], planner, model, chosen, meter)

    return run


@pytest.fixture
def trial(run, timer):
    """Runs a scripted planner in closed loop on the fake wall clock, budget 8 seconds."""

    def trial(seconds, batch=1, **protocol):
        timer.seconds = 0.0
        planner = Scripted(timer, tuple(seconds))
        defaults = {"clock": "wall", "budget": 8.0, "protocol": "mpc"}
        rows = run(planner, batch, Clock("cpu", now=timer), **(defaults | protocol))
        return planner, rows

    return trial


def test_every_planning_sees_the_steps_that_are_left_from_where_the_plan_led(
    trial, task_set, model
):
    planner, _ = trial([2.0], batch=2)
    assert [problem.steps for problem in planner.problems] == [4, 3, 2, 1]
    assert [p.reference_actions.shape[1] for p in planner.problems] == [4, 3, 2, 1]
    environment = task_set.environment
    for done, problem in enumerate(planner.problems):
        for b, task in enumerate(task_set.tasks[:2]):
            states = environment.rollout(
                task.start_state[None], task.demo_actions[None, : 5 * done]
            )
            start = model.encode(environment.observe(states[:, -1], model.view))
            torch.testing.assert_close(problem.start[b], start[0], atol=0.1, rtol=0)
    planner, _ = trial([2.0], replan_every=3)
    assert [problem.steps for problem in planner.problems] == [4, 1]
    planner, _ = trial([2.0], replan_every=9)
    assert [problem.steps for problem in planner.problems] == [4]


def test_plannings_share_the_time_that_is_left(trial):
    _, (even,) = trial([0.5] * 20)
    assert even["replan_candidates"] == "4 4 4 4"
    assert (even["candidates"], even["iterations"], even["planner_time"]) == (16, 16, 8.0)
    _, (slow,) = trial([3.0] * 20)  # the third comes after the budget
    assert slow["replan_candidates"] == "1 1 0 0"
    _, (ends,) = trial([0.5])
    assert ends["replan_candidates"] == "1 1 1 1"
    assert ends["planner_time"] == 2.0
    _, (capped,) = trial([0.5] * 20, stop="never", max_iterations=8)
    assert capped["replan_candidates"] == "2 2 2 2"


def test_a_planning_without_a_plan_follows_the_one_before_and_nothing_before_the_first(trial):
    _, (once,) = trial([7.0] * 2)
    assert once["replan_candidates"] == "1 0 0 0"
    assert once["success"]
    assert once["final_plan_success"]
    _, (never,) = trial([9.0])
    assert not never["success"]
    assert never["final_plan_success"] is False
    assert never["plan_sha256"] is None
    assert never["checks"] == 0


def test_a_first_success_ends_the_planning_and_not_the_plan(trial):
    _, (whole,) = trial([2.0])
    planner, (stopped,) = trial([2.0], stop="first-success")
    assert whole["success"]
    assert stopped["success"]
    assert stopped["time_to_success"] == whole["time_to_success"] == stopped["planner_time"]
    assert stopped["checks"] == len(planner.problems) == len(stopped["replan_candidates"].split())
    assert stopped["success_final"] == whole["success_final"]
    assert stopped["final_plan_success"] is None
    assert whole["final_plan_success"] is True
    assert whole["checks"] == STEPS
    assert stopped["plan_sha256"] == whole["plan_sha256"]


def test_a_demonstration_is_followed_to_its_end(run):
    demo = run(make_planner("demo"), protocol="mpc")
    assert all(row["success"] and row["success_final"] and row["success_block"] for row in demo)
    opened = run(make_planner("demo"))
    assert [row["plan_sha256"] for row in demo] == [row["plan_sha256"] for row in opened]
    assert {row["replan_candidates"] for row in opened} == {None}
    assert not any(row["success"] for row in run(make_planner("zero"), protocol="mpc"))


def test_replanning_mends_what_the_model_gets_wrong(run):
    def distances(**protocol):
        rows = run(StraightToGoal(), **protocol)
        return np.array([row["final_plan_cost_realised"] for row in rows])

    opened = distances()
    halves = distances(protocol="mpc", replan_every=2)
    closed = distances(protocol="mpc", replan_every=1)
    assert np.median(halves / opened) < 0.7
    assert np.median(closed / opened) < 0.4


def test_every_planning_draws_its_own_numbers_whatever_the_others_drew(trial):
    few, _ = trial([2.0])
    many, _ = trial([0.25] * 20, stop="never", batch=3)
    for one, other in zip(few.draws, many.draws, strict=True):
        assert torch.equal(one, other[:1])
    assert len({tuple(draw[0].tolist()) for draw in few.draws}) == STEPS


@pytest.mark.parametrize("planner", ["cem", "grasp", "shuffled-demo", "random"])
@pytest.mark.parametrize("clock", [{}, {"clock": "wall", "budget": 0.3, "check_first": 0.02}])
def test_a_closed_loop_trial_comes_back_bit_for_bit(
    make_trial_rows, responsive_checkpoint, tmp_path, planner, clock
):
    overrides = {
        "grasp": {"sync_every": "5", "yield_every": "5"},
        "cem": {"samples": "16", "elites": "4"},
    }
    closed = {"protocol": "mpc", "replan_every": 2}
    (row,) = make_trial_rows(planner, overrides.get(planner), **closed, **clock)
    assert row["status"] == "ok"
    trial = load_trial(row, str(responsive_checkpoint))
    again = replay_trial(trial)
    assert again.agrees
    assert again.outcome.success == row["final_plan_success"]
    write_rows(tmp_path / "trials.parquet", [row])
    (checked,) = check_trials(
        read_results(tmp_path / "trials.parquet"), 1, 0, str(responsive_checkpoint)
    )
    assert checked.agrees


def test_the_shipped_model_plans_in_closed_loop(task_set, make_protocol):
    model, tasks = load_model("pusht-compact").model, task_set.tasks[:4]
    planner = make_planner("cem", {"samples": 64, "elites": 8})
    protocol = make_protocol(budget=40.0, protocol="mpc", stop="never")
    rows, again = (run_trials(task_set, tasks, planner, model, protocol) for _ in range(2))
    assert sum(row["success"] for row in rows) >= 2
    assert {row["replan_candidates"] for row in rows} == {"10 10 10 10"}
    assert [row["plan_sha256"] for row in rows] == [row["plan_sha256"] for row in again]
