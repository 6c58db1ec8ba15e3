"""Planners keep to the action limits that a problem has, and find the best plan within."""

from dataclasses import replace

import pytest
import torch
from test_every_planner import ALL, SEARCHES, planner_name

from grasp_bench.core.types import Objective
from grasp_bench.models import CompactConfig, CompactWorldModel
from grasp_bench.planners import CEM, LBFGS, GDAdam, Sift
from grasp_bench.planners.objective import goal_cost

LOW, HIGH = torch.tensor([-0.2, -0.1]).double(), torch.tensor([0.1, 0.3]).double()


def limited(problem, **changes):
    reference = problem.reference_actions
    limits = LOW.to(problem.start), HIGH.to(problem.start)
    return replace(problem, limits=limits, reference_actions=reference.clamp(*limits), **changes)


@pytest.mark.parametrize("planner", ALL, ids=planner_name)
def test_every_candidate_lies_within_the_limits(planner, make_problem, run):
    problem = limited(make_problem(batch=2, steps=3))
    for candidate in run(planner, problem):
        assert torch.equal(problem.project(candidate.actions), candidate.actions)


@pytest.mark.parametrize(
    ("planner", "iterations"),
    [(CEM(), 30), (GDAdam(action_noise=0.0, lr=0.02), 300), (LBFGS(starts=2), 40),
     (Sift(samples=64, kept=8, iterations=200, lr=0.02), 200)],
    ids=planner_name,
)  # fmt: skip
def test_the_best_plan_within_the_limits_is_found(planner, iterations, make_problem, run):
    problem = limited(make_problem(batch=2, steps=1, reachable=False))
    first, second = (torch.linspace(float(a), float(b), 101) for a, b in zip(LOW, HIGH))
    grid = torch.cartesian_prod(first, second).to(problem.start)[None, :, None]
    expected = goal_cost(problem, grid.expand(2, -1, -1, -1)).amin(dim=1)
    found = torch.stack([c.cost for c in run(planner, problem, iterations)]).amin(dim=0)
    assert (found < expected + 1e-3).all()


def test_without_limits_nothing_is_moved(make_problem):
    problem, actions = make_problem(), torch.randn(2, 3, 2) * 100
    assert problem.project(actions) is actions
    assert problem.project_(actions) is actions


@pytest.mark.parametrize("planner", SEARCHES, ids=planner_name)
def test_the_cost_is_the_mean_over_the_last_steps_that_the_objective_names(
    planner, make_problem, run
):
    problem = make_problem(bent=True, steps=4)
    several = replace(problem, objective=Objective(goal_steps=3))
    for candidate in run(planner, several, upto=5):
        state, distances = problem.start, []
        for action in candidate.actions.unbind(dim=1):
            state = problem.model.step(state, action)
            distances.append(problem.model.distance(state, problem.goal))
        expected = torch.stack(distances[1:]).mean(dim=0)
        torch.testing.assert_close(candidate.cost, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("weight", [0.0, 0.1])
@pytest.mark.parametrize("planner", SEARCHES, ids=planner_name)
def test_proprioception_weighs_what_the_objective_says(planner, weight, make_compact, run):
    problem = replace(make_compact, objective=Objective(proprio_weight=weight))
    model = problem.model
    for candidate in run(planner, problem, upto=3):
        state = problem.start
        for action in candidate.actions.unbind(dim=1):
            state = model.step(state, action)
        errors = (state - problem.goal).square()
        visual = model.visual_dim
        expected = errors[:, :visual].mean(1) + weight * errors[:, visual:].mean(1)
        torch.testing.assert_close(candidate.cost, expected, atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def make_compact():
    from grasp_bench.core.types import Problem

    torch.manual_seed(0)
    config = CompactConfig(encoder_channels=8, width=16, blocks=1, decoder_width=8)
    model = CompactWorldModel(config).eval().requires_grad_(False)
    size = model.latent_shape[0]
    return Problem(model, torch.randn(2, size), torch.randn(2, size), steps=3)


def test_the_gradient_of_a_goal_distance_is_autograds(make_compact):
    model = make_compact.model
    for weight in (0.0, 0.3, 1.0):
        state = make_compact.start.clone().requires_grad_()
        (ours,) = torch.autograd.grad(
            model.goal_distance(state, make_compact.goal, weight).sum(), state
        )
        errors = (state - make_compact.goal).square()
        plain = errors[:, : model.visual_dim].mean(1) + weight * errors[:, model.visual_dim :].mean(
            1
        )
        (expected,) = torch.autograd.grad(plain.sum(), state)
        torch.testing.assert_close(ours, expected)
