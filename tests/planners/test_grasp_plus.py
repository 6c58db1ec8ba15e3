from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from grasp_bench.objective import goal_cost
from grasp_bench.planners import GraspPlus
from grasp_bench.types import NoiseStreams


class KnowingPrior:
    """Proposes the reference actions; noise is what the temperature says."""

    draws = 3

    def __init__(self, problem):
        self.problem, self.asked = problem, []

    def sample(self, state, goal, steps_left, draws, temperature):
        self.asked.append((steps_left, goal.shape))
        reference = self.problem.reference_actions[:, self.problem.steps - steps_left]
        return reference[:, None] + temperature * draws[..., 1:]


def test_the_first_population_is_the_prior_s(make_problem, run):
    problem = make_problem()
    prior = KnowingPrior(problem)
    planner = GraspPlus(samples=6, elites=2, temperature=0.0)
    (first,) = run(planner, replace(problem, prior=prior), upto=1)
    torch.testing.assert_close(first.actions, problem.reference_actions)
    torch.testing.assert_close(first.cost, torch.zeros_like(first.cost))
    assert [steps for steps, _ in prior.asked] == [3, 2, 1]
    assert {shape for _, shape in prior.asked} == {(2, 6, 4)}


def test_populations_double_until_they_are_full(make_problem, run):
    problem = make_problem()
    prior = KnowingPrior(problem)
    planner = GraspPlus(samples=10, first_samples=2, elites=3, refining=False)
    run(planner, replace(problem, prior=prior), upto=6)
    asked = [shape[1] for steps, shape in prior.asked if steps == problem.steps]
    assert asked == [2, 4, 8, 10, 10, 10]


def test_without_a_prior_or_told_not_to_use_it_actions_are_standard_normal(make_problem, run):
    problem = make_problem()
    planner = GraspPlus(samples=6, elites=2)
    (without,) = run(planner, problem, upto=1)
    with_prior = replace(problem, prior=KnowingPrior(problem))
    (told,) = run(replace(planner, use_prior=False), with_prior, upto=1)
    torch.testing.assert_close(without.actions, told.actions, rtol=0, atol=0)
    noise = NoiseStreams.from_seeds([0, 1]).normal(6, 3, 2, like=problem.start)
    best = goal_cost(problem, noise).argmin(1)
    torch.testing.assert_close(without.actions, noise[torch.arange(2), best])


def test_branches_follow_an_elite_until_they_leave_it(make_problem):
    problem = make_problem(steps=5)
    planner = GraspPlus(samples=400, elites=2, branch_noise=0.0)
    elites = torch.randn(2, 3, 5, 2, dtype=torch.float64)
    children, costs = planner._proposed(
        problem, NoiseStreams.from_seeds([0, 1]), planner.samples, elites
    )
    torch.testing.assert_close(costs, goal_cost(problem, children))
    followed = (children[:, :, None] == elites[:, None]).all(-1)  # [B, N, E, T]
    steps = followed.long().cumprod(-1).sum(-1).amax(-1)
    # Every moment to leave is about as frequent as any other, and the last step is always fresh.
    for moment in range(5):
        assert (steps == moment).double().mean() == pytest.approx(0.2, abs=0.06)
    parents = followed[..., 0][steps > 0]
    assert parents.double().mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.1)


def test_branch_noise_moves_what_was_kept(make_problem):
    problem = make_problem(steps=4)
    planner = GraspPlus(samples=2000, elites=2, branch_noise=0.1)
    elites = torch.zeros(2, 1, 4, 2, dtype=torch.float64)
    children, _ = planner._proposed(
        problem, NoiseStreams.from_seeds([0, 1]), planner.samples, elites
    )
    kept = children[:, :, 0].std()
    # A quarter of the plans leave at once and are standard normal there.
    assert kept.item() == pytest.approx((0.25 + 0.75 * 0.01) ** 0.5, rel=0.05)


def test_refining_never_makes_an_elite_worse(make_problem):
    problem = make_problem(bent=True)
    planner = GraspPlus(samples=6, elites=3, refine_lr=5.0, refine_steps=3)
    noise = NoiseStreams.from_seeds([0, 1])
    plans, costs = planner._proposed(problem, noise, planner.samples)
    refined, after = planner._refined(problem, plans, costs)
    assert (after <= costs).all()
    torch.testing.assert_close(after, goal_cost(problem, refined))
    gentle, better = replace(planner, refine_lr=0.01)._refined(problem, plans, costs)
    assert (better < costs).all()
    assert not torch.equal(gentle, plans)


@pytest.mark.parametrize("parts", [{}, {"branching": False}, {"refining": False}])
def test_the_best_plan_never_gets_worse(make_problem, run, parts):
    planner = GraspPlus(samples=8, elites=3, **parts)
    shown = run(planner, make_problem(bent=True), upto=12)
    assert [candidate.iteration for candidate in shown] == list(range(1, 13))
    assert all((b.cost <= a.cost).all() for a, b in pairwise(shown))
    assert (shown[-1].cost < shown[0].cost).all()
