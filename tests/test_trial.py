"""Trials with scripted planners on a fake clock: exact times, exact flags."""

import hashlib
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

from grasp_bench import trial as trial_module
from grasp_bench.clock import IterationClock, WallClock
from grasp_bench.models.linear import LinearModel
from grasp_bench.planners import make_planner
from grasp_bench.problems import encode_problem, trial_seed
from grasp_bench.tasks import load_tasks
from grasp_bench.trial import run_trials, warm_up
from grasp_bench.types import Candidate

HORIZON = 10


class Timer:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@dataclass(frozen=True)
class Scripted:
    """Yields the planned (seconds, plan, cost) one after the other.

    A plan is "demo", "zero" or "nan". A cost is a number, or one number per problem.
    """

    name: ClassVar[str] = "scripted"
    reference: ClassVar[str] = "own"

    timer: Timer
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
def tasks():
    return load_tasks("eval", HORIZON, 8).tasks


@pytest.fixture(scope="module")
def model():
    control = torch.zeros(4, 10)
    control[0, 0::2] = control[1, 1::2] = 20.0
    world = LinearModel(torch.eye(4), control)
    world.image_size = 8
    return world


@pytest.fixture
def trial(tasks, model, make_settings):
    """Runs a script on the fake wall clock, checks at 1, 2, 4, 8 ... seconds, budget 10."""

    def run(script, batch=1, **settings):
        timer = Timer()
        settings = make_settings(
            **({"clock": "wall", "check_first": 1.0, "check_ratio": 2.0, "budget": 10.0} | settings)
        )
        clock = WallClock("cpu", now=timer)
        planner = Scripted(timer, script)
        outcomes = run_trials(tasks[:batch], tasks, planner, model, settings, clock)
        return outcomes[0] if batch == 1 else outcomes

    return run


def test_a_success_is_timed_by_the_check_that_found_it(trial):
    script = [(0.5, "zero", 9)] * 4 + [(0.5, "demo", 1)] * 10
    outcome = trial(script)
    assert outcome.success
    assert outcome.time_to_success == 4.0  # there since 2.5, shown at the check at 4
    assert outcome.planner_time == 4.0
    assert outcome.candidates == 8
    assert outcome.iterations_to_success == outcome.iterations == 80
    assert outcome.checks == 3


def test_a_check_that_falls_due_between_candidates_happens_at_the_next_one(trial):
    outcome = trial([(0.9, "zero", 9), (2.4, "demo", 1), (1.0, "zero", 0)])
    assert outcome.time_to_success == pytest.approx(3.3)


def test_the_incumbent_is_the_plan_of_lowest_model_cost_not_the_latest_or_best(trial):
    outcome = trial([(1.0, "zero", 1), (1.0, "demo", 2), (8.0, "demo", 1)])
    assert not outcome.success
    assert outcome.time_to_success is None
    assert outcome.blind_success is False
    assert outcome.blind_cost_predicted == 1.0


def test_execution_is_off_the_clock(trial, monkeypatch):
    import grasp_bench.trial as module

    execute = module.execute
    slow: list[Timer] = []
    init = Scripted.__init__

    def remember(self, timer, script):
        slow.append(timer)
        init(self, timer, script)

    def execute_slowly(*arguments):
        slow[-1].seconds += 1000
        return execute(*arguments)

    monkeypatch.setattr(Scripted, "__init__", remember)
    monkeypatch.setattr(module, "execute", execute_slowly)
    outcome = trial([(1.0, "zero", 9), (1.0, "demo", 1)])
    assert outcome.time_to_success == 2.0


def test_an_unchanged_incumbent_is_checked_but_not_executed_again(trial, monkeypatch):
    import grasp_bench.trial as module

    executed = []
    execute = module.execute
    monkeypatch.setattr(module, "execute", lambda *given: (executed.append(1), execute(*given))[1])
    outcome = trial([(1.0, "zero", 1)] * 10)
    assert outcome.checks == 5  # at 1, 2, 4, 8 and the end of the budget
    assert len(executed) == 1


def test_stop_never_scores_the_committed_plan_and_keeps_the_first_success(trial):
    script = [(1.0, "demo", 5), (9.0, "zero", 1)]
    stopped, whole = trial(script), trial(script, stop="never")
    assert stopped.success
    assert whole.success
    assert stopped.time_to_success == whole.time_to_success == 1.0
    assert (stopped.planner_time, whole.planner_time) == (1.0, 10.0)
    assert stopped.blind_success is stopped.blind_cost_predicted is None
    assert whole.blind_success is False
    assert whole.blind_cost_predicted == 1.0
    assert whole.blind_cost_realised > 0
    assert stopped.success_final
    assert stopped.plan_sha256 != whole.plan_sha256


def test_the_end_of_the_budget_is_the_last_check(trial):
    outcome = trial([(1.0, "zero", 9), (8.5, "zero", 8), (0.25, "demo", 1), (1.0, "zero", 0)])
    assert outcome.time_to_success == 10.0
    assert outcome.blind_success is True
    assert outcome.candidates == 3


def test_a_candidate_that_comes_after_the_budget_does_not_count(trial):
    outcome = trial([(1.0, "zero", 9), (9.5, "demo", 1)])
    assert not outcome.success
    assert outcome.candidates == 1
    assert outcome.planner_time == 10.5
    late = trial([(11.0, "demo", 1)])
    assert not late.success
    assert late.blind_success is False
    assert late.plan_sha256 is None
    assert late.checks == 0


def test_a_planner_that_ends_commits_to_its_best_plan(trial):
    outcome = trial([(0.25, "demo", 1)])
    assert outcome.success
    assert outcome.time_to_success == 0.25
    assert outcome.blind_success is True
    assert outcome.checks == 1


def test_the_iteration_cap_ends_a_trial(trial):
    outcome = trial([(0.1, "zero", 9), (0.1, "demo", 1), (0.1, "zero", 0)], max_iterations=20)
    assert outcome.iterations == 20
    assert outcome.candidates == 2
    assert outcome.success


@pytest.mark.parametrize("worthless", [("nan", 0.0), ("demo", float("nan"))])
def test_a_plan_that_is_not_finite_or_of_unknown_cost_never_becomes_the_incumbent(trial, worthless):
    outcome = trial([(1.0, *worthless), (1.0, "zero", 5), (8.0, *worthless)])
    assert not outcome.success
    assert outcome.blind_cost_predicted == 5.0


def test_problems_of_a_batch_end_one_by_one(trial):
    # The second problem prefers the zero plan until its demonstration becomes cheap.
    script = [(1.0, "zero", [9, 1]), (1.0, "demo", [1, 2]), (2.0, "demo", [9, 0])]
    first, second = trial(script, batch=2)
    assert (first.time_to_success, second.time_to_success) == (2.0, 4.0)
    assert (first.candidates, second.candidates) == (2, 3)
    assert (first.checks, second.checks) == (2, 3)
    assert first.rows_forward_to_success == 2
    assert second.rows_forward_to_success == 3


def test_iteration_clock_checks_and_budget_count_candidates(tasks, model, make_settings):
    planner = Scripted(Timer(), [(0.0, "zero", 9)] * 4 + [(0.0, "demo", 1)] * 4)
    settings = make_settings(budget=7.0)
    (outcome,) = run_trials(tasks[:1], tasks, planner, model, settings, IterationClock())
    assert outcome.time_to_success == 5.0
    (outcome,) = run_trials(
        tasks[:1], tasks, planner, model, make_settings(budget=4.0, stop="never")
    )
    assert outcome.planner_time == outcome.candidates == 4


def test_seeds_follow_from_master_seed_task_and_planner():
    digest = hashlib.sha256(b"7|pusht-h40-0003|cem").digest()
    assert trial_seed(7, "pusht-h40-0003", "cem") == int.from_bytes(digest[:8], "big")


def test_a_task_draws_the_same_numbers_alone_and_in_a_batch(tasks, model, make_settings):
    planner = Scripted(Timer(), [(0.0, "demo", 1)])
    for group in (tasks, tasks[5:6], tasks[2:4]):
        run_trials(group, tasks, planner, model, make_settings())
    together, alone, pair = planner.streams
    assert alone == together[5:6]
    assert pair == together[2:4]


def test_a_warm_up_leaves_no_trace(tasks, model, make_settings):
    planner, settings = make_planner("cem", {"samples": "20", "elites": "5"}), make_settings()
    cold = run_trials(tasks[:1], tasks, planner, model, settings)
    warm_up(tasks[:1], tasks, planner, model, settings)
    warm = run_trials(tasks[:1], tasks, planner, model, settings)
    assert cold[0].plan_sha256 == warm[0].plan_sha256


@pytest.mark.parametrize(
    ("seconds", "planned"),
    [(0.01, 100), (0.5, 8), (2.0, 5), (20.0, 1)],  # a second, eight candidates, the budget, one
)
def test_a_warm_up_ends(tasks, model, make_settings, monkeypatch, seconds, planned):
    timer = Timer()
    monkeypatch.setattr(trial_module, "time", SimpleNamespace(perf_counter=timer))
    planner = Scripted(timer, [(seconds, "zero", 1)] * 200)
    warm_up(tasks[:1], tasks, planner, model, make_settings(clock="wall", budget=10.0))
    assert timer.seconds == pytest.approx(planned * seconds)


def test_model_rows_are_counted_per_problem(tasks, model, make_settings):
    planner = make_planner("cem", {"samples": "20", "elites": "5"})
    settings = make_settings(stop="never", budget=3.0)
    alone = run_trials(tasks[:1], tasks, planner, model, settings)[0]
    batch = run_trials(tasks[:4], tasks, planner, model, settings)
    assert alone.rows_forward == 3 * 20 * 2
    assert [outcome.rows_forward for outcome in batch] == [alone.rows_forward] * 4
    assert alone.rows_backward == 0


def test_the_demonstration_succeeds_and_doing_nothing_does_not(tasks, model, make_settings):
    settings = make_settings(stop="never")
    demo = run_trials(tasks, tasks, make_planner("demo", {}), model, settings)
    assert all(o.success and o.success_final and o.success_block for o in demo)
    assert max(o.blind_block_distance for o in demo) < 0.1
    assert max(o.blind_cost_realised for o in demo) < 1e-3
    zero = run_trials(tasks, tasks, make_planner("zero", {}), model, settings)
    assert not any(outcome.success for outcome in zero)


def test_another_tasks_demonstration_does_not_depend_on_the_batch(tasks, model):
    planner = make_planner("random", {})
    together, _ = encode_problem(tasks, tasks, planner, model, 0, "cpu")
    alone, _ = encode_problem(tasks[3:4], tasks, planner, model, 0, "cpu")
    own, _ = encode_problem(tasks, tasks, make_planner("demo", {}), model, 0, "cpu")
    assert torch.equal(alone.reference_actions, together.reference_actions[3:4])
    assert not any(
        torch.equal(a, b)
        for a, b in zip(together.reference_actions, own.reference_actions, strict=True)
    )
