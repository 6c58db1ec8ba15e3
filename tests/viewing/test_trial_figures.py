"""Figures of one plan: objectives, adversarial states, virtual states and traces."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from grasp_bench.analysis.result_figures.drawing import svg_bytes
from grasp_bench.core.errors import UserError
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.models.linear import LinearModel
from grasp_bench.planners.objective import goal_cost
from grasp_bench.planners.rollout import rollout
from grasp_bench.trial.replay import history, replay_trial
from grasp_bench.viewing.plan_figures.adversarial import adversarial_states, draw_adversarial
from grasp_bench.viewing.plan_figures.landscape import draw_landscape, landscape, local_minima
from grasp_bench.viewing.plan_figures.traces import draw_traces, path_defect
from grasp_bench.viewing.plan_figures.virtual_states import draw_virtual_states

GRASP = {"sync_every": "5", "yield_every": "5"}


@pytest.fixture
def linear_problem():
    torch.manual_seed(0)
    model = LinearModel(torch.eye(4) + 0.1 * torch.randn(4, 4), torch.randn(4, 10))
    return Problem(model, torch.randn(1, 4), torch.randn(1, 4), steps=3)


def test_the_plan_is_in_the_middle_of_the_landscape(linear_problem):
    model = linear_problem.model
    plan = model.optimum(linear_problem.start, linear_problem.goal, 3)[0]
    surface = landscape(linear_problem, plan + 0.1, points=41)
    here = list(surface.second).index(0.0), int(np.argmin(np.abs(surface.first)))
    assert surface.first[here[1]] == pytest.approx(0, abs=1e-9)
    serial = goal_cost(linear_problem, plan[None] + 0.1).item()
    assert surface.serial[here] == pytest.approx(serial, rel=1e-4)
    # The states are the plan's own rollout: only the last transition misses, by the goal cost.
    assert surface.lifted[here] == pytest.approx(serial, rel=1e-4)


def test_a_convex_problem_has_at_most_one_minimum_in_either_objective(linear_problem):
    plan = linear_problem.model.optimum(linear_problem.start, linear_problem.goal, 3)[0]
    for directions in ("planned", "random"):
        surface = landscape(linear_problem, plan, directions, points=21)
        assert local_minima(surface.serial) <= 1
        assert local_minima(surface.lifted) <= 1


def test_the_planned_direction_ends_where_grasp_begins(linear_problem):
    surface = landscape(linear_problem, torch.ones(3, 10), points=41)
    there = list(surface.second).index(0.0), int(np.argmin(np.abs(surface.first - 1)))
    idle = goal_cost(linear_problem, torch.zeros(1, 3, 10)).item()
    assert surface.serial[there] == pytest.approx(idle, rel=1e-4)


def test_local_minima_are_counted():
    values = np.ones((5, 6))
    values[1, 1] = values[3, 4] = 0.0
    values[0, 3] = -1.0  # on the border: what lies beyond is unknown
    assert local_minima(values) == 2
    assert local_minima(np.ones((5, 5))) == 0


def test_adversarial_states_follow_the_gradient_through_the_model(linear_problem):
    model, goal = linear_problem.model, linear_problem.goal
    states, successors = adversarial_states(linear_problem, (0.0, 0.1, 0.2))
    torch.testing.assert_close(states[:1], linear_problem.start)
    torch.testing.assert_close(successors, model.step(states, torch.zeros(3, 10)))
    # ∇_s of the mean square of A s - g is 2/Z A'(A s - g).
    start = linear_problem.start[0]
    gradient = 0.5 * model.transition.T @ (model.transition @ start - goal[0])
    step = model.distance(successors[0], goal[0]) / gradient.square().sum()
    torch.testing.assert_close(states[1], start - 0.1 * step * gradient)
    costs = model.distance(successors, goal.expand(3, -1))
    assert costs[2] < costs[1] < costs[0]


def test_a_history_has_every_iteration_of_the_same_plan(make_plan):
    trial, _ = make_plan("grasp", **GRASP)
    shown = []
    replay_trial(trial, shown.append)
    candidates = history(trial)
    assert [c.iteration for c in candidates] == list(range(1, shown[-1].iteration + 1))
    for candidate in shown:
        again = next(c for c in candidates if c.iteration == candidate.iteration)
        assert torch.equal(again.actions, candidate.actions)


def test_a_history_of_other_planners_is_what_they_showed(make_plan):
    trial, _ = make_plan("cem", samples="16", elites="4")
    assert len(history(trial)) == trial.row["candidates"]


def test_a_rollouts_own_states_have_no_defect(linear_problem):
    actions = torch.randn(1, 3, 10)
    states = rollout(linear_problem.model, linear_problem.start, actions)
    cost = goal_cost(linear_problem, actions)
    lifted = Candidate(actions, cost, 1, states[:, :-1])
    assert path_defect(linear_problem, lifted) == pytest.approx(0, abs=1e-12)
    moved = Candidate(actions, cost, 1, states[:, :-1] + 1)
    assert path_defect(linear_problem, moved) > 0.01
    assert path_defect(linear_problem, Candidate(actions, cost, 1)) is None


def test_the_figures_of_a_grasp_plan_are_drawn(make_plan):
    trial, again = make_plan("grasp", **GRASP)
    candidates = history(trial)
    cem, _ = make_plan("cem", samples="16", elites="4")
    for drawing in (
        draw_virtual_states(trial, again, candidates),
        draw_traces([(trial, candidates), (cem, history(cem))]),
        draw_landscape(trial, again, "random"),
        draw_adversarial(trial),
    ):
        assert "pusht-h20-0000" in drawing.caption
        assert trial.model.sha256[:12] in drawing.caption
        assert drawing.alt.endswith(".")
        assert svg_bytes(drawing).startswith(b"<?xml")


def test_what_a_planner_or_model_lacks_is_one_sentence(make_plan):
    trial, again = make_plan("cem", samples="16", elites="4")
    with pytest.raises(UserError, match="'cem'"):
        draw_virtual_states(trial, again, history(trial))
    observed = trial.problem.start[:, :4]
    linear = LinearModel(torch.eye(4), torch.ones(4, 10))
    problem = replace(trial.problem, model=linear, start=observed, goal=observed + 1)
    with pytest.raises(UserError, match="'tiny'"):
        draw_adversarial(replace(trial, problem=problem))
