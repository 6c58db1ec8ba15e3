from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.planners import GraspPlus
from grasp_bench.planners.objective import goal_cost
from grasp_bench.planners.rollout import rollout
from grasp_bench.trial.metered import MeteredModel


def assert_rolled_out(problem, population):
    """A population's states and costs are those of its plans."""
    torch.testing.assert_close(population.costs, goal_cost(problem, population.plans))
    visited = rollout(problem.model, problem.start, population.plans)
    torch.testing.assert_close(population.states[:, :, 1:], visited[:, :, :-1])
    start = problem.start[:, None].expand_as(visited[:, :, 0])
    torch.testing.assert_close(population.states[:, :, 0], start)


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
    asked = [shape[1] for steps_left, shape in prior.asked if steps_left == 1]
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
    problem = make_problem(steps=5, bent=True)
    planner = GraspPlus(samples=400, elites=3, branch_noise=0.0)
    noise = NoiseStreams.from_seeds([0, 1])
    elites = planner._proposed(problem, noise, 3)
    children = planner._branched(problem, noise, elites)
    assert_rolled_out(problem, children)
    followed = (children.plans[:, :, None] == elites.plans[:, None]).all(-1)  # [B, N, E, T]
    steps = followed.long().cumprod(-1).sum(-1).amax(-1)
    # As many leave at every step, the first ones at the first; the last step is always fresh.
    assert torch.equal(steps, torch.arange(5).repeat_interleave(80).expand(2, -1))
    parents = followed[..., 0][steps > 0]
    assert parents.double().mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.1)


def test_a_branch_without_noise_is_rolled_out_from_where_it_leaves(make_problem):
    problem = make_problem(steps=4)
    model = MeteredModel(problem.model)
    metered = replace(problem, model=model)
    planner, noise = GraspPlus(samples=8, elites=2), NoiseStreams.from_seeds([0, 1])
    elites = planner._proposed(problem, noise, 2)
    rows = []
    for changes in ({"branch_noise": 0.0}, {}, {"branching": False}):
        before = model.model_evals_forward
        replace(planner, **changes)._branched(metered, noise, elites)
        rows.append(model.model_evals_forward - before)
    assert rows == [2 * (2 + 4 + 6 + 8), 2 * 8 * 4, 2 * 8 * 4]


def test_branch_noise_moves_what_was_kept(make_problem):
    problem = make_problem(steps=4)
    planner = GraspPlus(samples=2000, elites=2, branch_noise=0.1)
    noise = NoiseStreams.from_seeds([0, 1])
    elites = planner._proposed(problem, noise, 1)
    elites = elites._replace(plans=torch.zeros_like(elites.plans))
    children = planner._branched(problem, noise, elites)
    assert_rolled_out(problem, children)
    kept = children.plans[:, :, 0].std()
    # A quarter of the plans leave at once and are standard normal there.
    assert kept.item() == pytest.approx((0.25 + 0.75 * 0.01) ** 0.5, rel=0.05)


def test_refining_never_makes_an_elite_worse(make_problem):
    problem = make_problem(bent=True)
    planner = GraspPlus(samples=6, elites=3, refine_lr=5.0, refine_steps=3)
    elites = planner._proposed(problem, NoiseStreams.from_seeds([0, 1]), planner.samples)
    refined = planner._refined(problem, elites)
    assert (refined.costs <= elites.costs).all()
    assert_rolled_out(problem, refined)
    gentle = replace(planner, refine_lr=0.01)._refined(problem, elites)
    assert (gentle.costs < elites.costs).all()
    assert not torch.equal(gentle.plans, elites.plans)
    assert_rolled_out(problem, gentle)


@pytest.mark.parametrize("parts", [{}, {"branching": False}, {"refining": False}])
def test_the_best_plan_never_gets_worse(make_problem, run, parts):
    planner = GraspPlus(samples=8, elites=3, **parts)
    shown = run(planner, make_problem(bent=True), upto=12)
    assert [candidate.iteration for candidate in shown] == list(range(1, 13))
    assert all((b.cost <= a.cost).all() for a, b in pairwise(shown))
    assert (shown[-1].cost < shown[0].cost).all()
