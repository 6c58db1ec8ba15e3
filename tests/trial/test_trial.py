"""Trials with scripted planners on a fake clock: exact times, exact flags."""

import hashlib
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import pytest
import torch

from grasp_bench.core.seeds import trial_seed
from grasp_bench.core.types import Candidate
from grasp_bench.planners import make_planner
from grasp_bench.run.schema import OUTCOME
from grasp_bench.tasks import load_tasks
from grasp_bench.trial import trial_state, trials
from grasp_bench.trial.clock import Clock
from grasp_bench.trial.problems import encode_problem
from grasp_bench.trial.protocol import TrialProtocol
from grasp_bench.trial.trials import run_trials, warm_up

HORIZON = 10


@dataclass(frozen=True)
class Scripted:
    """Yields the planned (seconds, plan, cost) one after the other.

    A plan is "demo", "zero" or "nan". A cost is a number, or one number per problem.
    """

    name: ClassVar[str] = "scripted"
    reference: ClassVar[str] = "own"

    timer: Any
    script: list[tuple[float, str, Any]]
    streams: list[list[float]] = field(default_factory=list)

    def plan(self, problem, noise):
        self.streams.append(noise.normal(3, like=problem.start).tolist())
        for number, (seconds, plan, cost) in enumerate(self.script):
            self.timer.seconds += seconds
            actions = problem.reference_actions.clone()
            if plan != "demo":
                actions = torch.full_like(actions, 0.0 if plan == "zero" else float("nan"))
            costs = torch.tensor(cost, dtype=torch.float32).expand(problem.batch)
            problem.model.step(problem.start, actions[:, 0])
            yield Candidate(actions, costs, 10 * (number + 1))


@pytest.fixture(scope="module")
def task_set():
    return load_tasks("eval", HORIZON, 8)


@pytest.fixture
def run(task_set, model, make_protocol):
    """Runs a planner on the first tasks, or on those given."""

    def run(planner, tasks=1, meter=None, **protocol):
        chosen = task_set.tasks[:tasks] if isinstance(tasks, int) else tasks
        return run_trials(task_set, chosen, planner, model, make_protocol(**protocol), meter)

    return run


@pytest.fixture(autouse=True)
def scripted_costs(monkeypatch):
    """Believes the costs of a script, which no rollout gives."""
    monkeypatch.setattr(trial_state, "check_costs", lambda *_: None)


@pytest.fixture
def trial(run, timer):
    """Runs a script on the fake wall clock, checks at 1, 2, 4, 8 ... seconds, budget 10."""

    def trial(script, batch=1, **protocol):
        timer.seconds = 0.0
        defaults = {"check_first": 1.0, "check_ratio": 2.0, "budget": 10.0}
        clock = Clock("cpu", now=timer)
        planner = Scripted(timer, script)
        rows = run(planner, batch, clock, **({"clock": "wall"} | defaults | protocol))
        return rows[0] if batch == 1 else rows

    return trial


def test_a_success_is_timed_by_the_check_that_found_it(trial):
    script = [(0.5, "zero", 9)] * 4 + [(0.5, "demo", 1)] * 10
    row = trial(script)
    assert row["success"]
    assert row["time_to_success"] == 4.0  # there since 2.5, shown at the check at 4
    assert row["planner_time"] == 4.0
    assert row["candidates"] == 8
    assert row["iterations_to_success"] == row["iterations"] == 80
    assert row["checks"] == 3


def test_a_check_that_falls_due_between_candidates_happens_at_the_next_one(trial):
    row = trial([(0.9, "zero", 9), (2.4, "demo", 1), (1.0, "zero", 0)])
    assert row["time_to_success"] == pytest.approx(3.3)


def test_the_incumbent_is_the_plan_of_lowest_model_cost_not_the_latest_or_best(trial):
    row = trial([(1.0, "zero", 1), (1.0, "demo", 2), (8.0, "demo", 1)])
    assert not row["success"]
    assert row["time_to_success"] is None
    assert row["final_plan_success"] is False
    assert row["final_plan_cost_predicted"] == 1.0


def test_execution_is_off_the_clock(trial, timer, monkeypatch):
    execute = trials.execute

    def execute_slowly(*arguments):
        timer.seconds += 1000
        return execute(*arguments)

    monkeypatch.setattr(trials, "execute", execute_slowly)
    row = trial([(1.0, "zero", 9), (1.0, "demo", 1)])
    assert row["time_to_success"] == 2.0


def test_an_unchanged_incumbent_is_checked_but_not_executed_again(trial, monkeypatch):
    executed = []
    execute = trials.execute
    monkeypatch.setattr(trials, "execute", lambda *given: (executed.append(1), execute(*given))[1])
    row = trial([(1.0, "zero", 1)] * 10)
    assert row["checks"] == 5  # at 1, 2, 4, 8 and the end of the budget
    assert len(executed) == 1


def test_stop_never_scores_the_committed_plan_and_keeps_the_first_success(trial):
    script = [(1.0, "demo", 5), (9.0, "zero", 1)]
    stopped, whole = trial(script), trial(script, stop="never")
    assert stopped["success"]
    assert whole["success"]
    assert stopped["time_to_success"] == whole["time_to_success"] == 1.0
    assert (stopped["planner_time"], whole["planner_time"]) == (1.0, 10.0)
    assert stopped["final_plan_success"] is stopped["final_plan_cost_predicted"] is None
    assert whole["final_plan_success"] is False
    assert whole["final_plan_cost_predicted"] == 1.0
    assert whole["final_plan_cost_realised"] > 0
    assert stopped["success_final"]
    assert stopped["plan_sha256"] != whole["plan_sha256"]


def test_the_end_of_the_budget_is_the_last_check(trial):
    row = trial([(1.0, "zero", 9), (8.5, "zero", 8), (0.25, "demo", 1), (1.0, "zero", 0)])
    assert row["time_to_success"] == 10.0
    assert row["final_plan_success"] is True
    assert row["candidates"] == 3


def test_a_candidate_that_comes_after_the_budget_does_not_count(trial):
    row = trial([(1.0, "zero", 9), (9.5, "demo", 1)])
    assert not row["success"]
    assert row["candidates"] == 1
    assert row["planner_time"] == 10.5
    late = trial([(11.0, "demo", 1)])
    assert not late["success"]
    assert late["final_plan_success"] is False
    assert late["plan_sha256"] is None
    assert late["checks"] == 0


def test_a_planner_that_ends_commits_to_its_best_plan(trial):
    row = trial([(0.25, "demo", 1)])
    assert row["success"]
    assert row["time_to_success"] == 0.25
    assert row["final_plan_success"] is True
    assert row["checks"] == 1


def test_the_iteration_cap_ends_a_trial(trial):
    row = trial([(0.1, "zero", 9), (0.1, "demo", 1), (0.1, "zero", 0)], max_iterations=20)
    assert row["iterations"] == 20
    assert row["candidates"] == 2
    assert row["success"]


@pytest.mark.parametrize("worthless", [("nan", 0.0), ("demo", float("nan"))])
def test_a_plan_that_is_not_finite_or_of_unknown_cost_never_becomes_the_incumbent(trial, worthless):
    row = trial([(1.0, *worthless), (1.0, "zero", 5), (8.0, *worthless)])
    assert not row["success"]
    assert row["final_plan_cost_predicted"] == 5.0


def test_problems_of_a_batch_end_one_by_one(trial):
    # The second problem prefers the zero plan until its demonstration becomes cheap.
    script = [(1.0, "zero", [9, 1]), (1.0, "demo", [1, 2]), (2.0, "demo", [9, 0])]
    first, second = trial(script, batch=2)
    assert (first["time_to_success"], second["time_to_success"]) == (2.0, 4.0)
    assert (first["candidates"], second["candidates"]) == (2, 3)
    assert (first["checks"], second["checks"]) == (2, 3)
    assert first["model_evals_forward_to_success"] == 2
    assert second["model_evals_forward_to_success"] == 3


def test_iteration_clock_checks_and_budget_count_candidates(run, timer):
    planner = Scripted(timer, [(0.0, "zero", 9)] * 4 + [(0.0, "demo", 1)] * 4)
    (row,) = run(planner, budget=7.0)
    assert row["time_to_success"] == 5.0
    (row,) = run(planner, budget=4.0, stop="never")
    assert row["planner_time"] == row["candidates"] == 4


def test_seeds_follow_from_master_seed_task_and_planner():
    digest = hashlib.sha256(b"7|pusht-h40-0003|cem").digest()
    assert trial_seed(7, "pusht-h40-0003", "cem") == int.from_bytes(digest[:8], "big")


def test_a_task_draws_the_same_numbers_alone_and_in_a_batch(run, timer, task_set):
    planner, tasks = Scripted(timer, [(0.0, "demo", 1)]), task_set.tasks
    for group in (tasks, tasks[5:6], tasks[2:4]):
        run(planner, group)
    together, alone, pair = planner.streams
    assert alone == together[5:6]
    assert pair == together[2:4]


def test_a_warm_up_leaves_no_trace(run, task_set, model, make_protocol):
    planner = make_planner("cem", {"samples": "20", "elites": "5"})
    (cold,) = run(planner)
    warm_up(task_set, task_set.tasks[:1], planner, model, make_protocol())
    (warm,) = run(planner)
    assert cold["plan_sha256"] == warm["plan_sha256"]


@pytest.mark.parametrize(
    ("seconds", "planned"),
    [(0.01, 100), (0.5, 8), (2.0, 5), (20.0, 1)],  # a second, eight candidates, the budget, one
)
def test_a_warm_up_ends(task_set, model, make_protocol, timer, monkeypatch, seconds, planned):
    monkeypatch.setattr(trials, "Clock", partial(Clock, now=timer))
    planner = Scripted(timer, [(seconds, "zero", 1)] * 200)
    protocol = make_protocol(clock="wall", budget=10.0)
    warm_up(task_set, task_set.tasks[:1], planner, model, protocol)
    assert timer.seconds == pytest.approx(planned * seconds)


def test_model_evals_are_counted_per_problem(run):
    planner = make_planner("cem", {"samples": "20", "elites": "5"})
    (alone,) = run(planner, stop="never", budget=3.0)
    batch = run(planner, 4, stop="never", budget=3.0)
    assert alone["model_evals_forward"] == 3 * 20 * 2
    assert [row["model_evals_forward"] for row in batch] == [alone["model_evals_forward"]] * 4
    assert alone["model_evals_backward"] == 0


def test_the_demonstration_succeeds_and_doing_nothing_does_not(run):
    demo = run(make_planner("demo"), 8, stop="never")
    assert all(row["success"] and row["success_final"] and row["success_block"] for row in demo)
    assert all(row["final_plan_success_final"] for row in demo)
    assert max(row["final_plan_block_distance"] for row in demo) < 0.1
    assert max(row["final_plan_cost_realised"] for row in demo) < 1e-3
    zero = run(make_planner("zero"), 8, stop="never")
    assert not any(row["success"] for row in zero)


def test_another_tasks_demonstration_does_not_depend_on_the_batch(task_set, model):
    def references(planner, tasks):
        problem, _ = encode_problem(task_set, tasks, make_planner(planner), model, TrialProtocol())
        return problem.reference_actions

    together = references("shuffled-demo", task_set.tasks)
    own = references("demo", task_set.tasks)
    assert torch.equal(references("shuffled-demo", task_set.tasks[3:4]), together[3:4])
    assert not any(torch.equal(a, b) for a, b in zip(together, own, strict=True))
    pool = [model.normalise_actions(torch.from_numpy(task.demo_actions)) for task in task_set.pool]
    assert all(any(torch.equal(a, b) for b in pool) for a in together)


def test_random_actions_are_another_plan_for_every_task_and_seed(run):
    plans = [row["plan_sha256"] for row in run(make_planner("random"), 8, stop="never")]
    assert len(set(plans)) == 8
    again = [row["plan_sha256"] for row in run(make_planner("random"), 8, stop="never")]
    assert again == plans
    other = run(make_planner("random"), 8, stop="never", master_seed=1)
    assert not {row["plan_sha256"] for row in other} & set(plans)


def test_a_row_has_the_columns_that_are_recorded_and_the_environments(trial, task_set):
    _, *others = task_set.environment.criteria
    own = {f"{plan}success_{name}" for name in others for plan in ("", "final_plan_")}
    own |= {f"final_plan_{name}" for name in task_set.environment.distances}
    row = trial([(1.0, "zero", 1)])
    assert row.keys() == {column.name for column in OUTCOME} | own
