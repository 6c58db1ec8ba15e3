"""What holds for each planner."""

from dataclasses import replace

import pytest
import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.planners import (
    CEM,
    GD,
    GRASP,
    ICEM,
    LBFGS,
    LEAP,
    MPPI,
    PLANNERS,
    PRISM,
    Demo,
    GDAdam,
    GradCEM,
    GraspPlus,
    LatCo,
    LatCoGN,
    PredictiveSampling,
    PriorMean,
    PriorRerank,
    Random,
    ShuffledDemo,
    Sift,
    Zero,
)
from grasp_bench.planners.objective import goal_cost
from grasp_bench.trial.metered import MeteredModel


def planner_name(value):
    """A short test id; None leaves other values to pytest."""
    return getattr(value, "name", None)


SEARCHES = [
    CEM(samples=20, elites=5),
    GD(),
    GD(optimiser="adam", lr=0.1),
    LatCo(yield_every=2),
    GRASP(yield_every=2),
    GRASP(sync="cem", sync_every=5, yield_every=2),
    GDAdam(),
    ICEM(samples=20, elites=5),
    MPPI(samples=20),
    GradCEM(samples=8, elites=3),
    LatCoGN(),
    GraspPlus(samples=8, elites=3),
    GD(starts=3, falling=True),
    GRASP(yield_every=2, starts=3),
    GRASP(sync="cem", sync_every=5, yield_every=2, cem_deviation="states", plain_mean=True),
    MPPI(samples=20, elites=5),
    PredictiveSampling(samples=20),
    LBFGS(starts=3),
    Sift(samples=20, kept=6, iterations=9),
    PRISM(samples=20),
    LEAP(samples=8, refined=3),
    PriorRerank(samples=8),
]
ALL = [*SEARCHES, PriorMean(), Zero(), Random(), ShuffledDemo(), Demo()]
SEARCH = pytest.mark.parametrize("planner", SEARCHES, ids=planner_name)
ANY = pytest.mark.parametrize("planner", ALL, ids=planner_name)


@pytest.mark.parametrize(
    ("planner", "iterations"),
    [
        (CEM(), 30),
        (GD(action_noise=0.0), 1000),
        (GD(action_noise=0.0, lr=0.1, optimiser="adam"), 300),
        (LatCo(iterations=3000, yield_every=1000), 3000),
        (GRASP(gd_steps=50), 750),
        (GRASP(sync="cem", cem_iterations=15), 750),
        (GraspPlus(refine_steps=50), 40),
        (GDAdam(action_noise=0.0), 300),
        (ICEM(), 30),
        (MPPI(), 100),
        (GradCEM(), 30),
        (LatCoGN(), 50),
        (GDAdam(action_noise=0.0, falling=True, starts=4), 300),
        (GRASP(gd_steps=50, starts=3), 750),
        (MPPI(elites=20), 100),
        (PredictiveSampling(sigma=0.1), 300),
        (LBFGS(starts=2), 20),
        (Sift(samples=64, kept=8, iterations=200), 200),
        (PRISM(prior_weight=0.01), 100),
        (LEAP(samples=8, refined=2), 20),
    ],
    ids=planner_name,
)
def test_reaches_a_reachable_goal_of_a_linear_model(planner, iterations, make_problem, run):
    problem = make_problem(batch=2, steps=3)
    idle, optimum = next(Zero().plan(problem, NoiseStreams([]))), closed_form(problem)
    assert (optimum < 1e-20).all()
    best = torch.stack([c.cost for c in run(planner, problem, iterations)]).amin(dim=0)
    assert (best < 1e-3 * idle.cost).all()


@pytest.mark.parametrize(
    ("planner", "iterations"),
    [
        (CEM(), 30),
        (GD(action_noise=0.0), 200),
        (LatCo(iterations=3000, yield_every=1000), 3000),
        (GRASP(), 750),
        (GDAdam(action_noise=0.0), 300),
        (ICEM(), 30),
        (MPPI(temperature=0.001), 100),
        (GradCEM(), 30),
        (LatCoGN(), 100),
        (GDAdam(action_noise=0.0, falling=True, starts=4), 300),
        (MPPI(temperature=0.001, elites=30), 100),
        (PredictiveSampling(sigma=0.03), 600),
        (LBFGS(starts=2), 30),
        (Sift(samples=64, kept=8, iterations=200), 200),
        (LEAP(samples=8, refined=2, iterations=30), 30),
    ],
    ids=planner_name,
)
def test_finds_the_least_squares_plan_when_the_goal_is_out_of_reach(
    planner, iterations, make_problem, run
):
    problem = make_problem(batch=2, steps=1, reachable=False)
    optimum = problem.model.optimum(problem.start, problem.goal, 1)
    shown = run(planner, problem, iterations)
    costs = torch.stack([c.cost for c in shown])
    actions = torch.stack([c.actions for c in shown])[costs.argmin(dim=0), torch.arange(2)]
    assert (closed_form(problem) > 0.5).all()
    torch.testing.assert_close(actions, optimum, atol=0.05, rtol=0)
    torch.testing.assert_close(costs.amin(dim=0), closed_form(problem), atol=1e-3, rtol=0)


def closed_form(problem):
    return goal_cost(problem, problem.model.optimum(problem.start, problem.goal, problem.steps))


@ANY
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_candidates_have_the_shapes_of_the_problem(planner, steps, make_problem, run):
    problem = make_problem(batch=3, steps=steps)
    for candidate in run(planner, problem):
        assert candidate.actions.shape == (3, steps, 2)
        assert candidate.cost.shape == (3,)
        assert not candidate.actions.requires_grad
        assert not candidate.cost.requires_grad
        if planner.name in ("latco", "grasp", "latco-gn"):
            assert candidate.virtual_states.shape == (3, steps - 1, 4)
            assert not candidate.virtual_states.requires_grad
        else:
            assert candidate.virtual_states is None


@ANY
def test_cost_is_that_of_a_serial_rollout_of_the_same_actions(planner, make_problem, run):
    problem = make_problem(bent=True)
    for candidate in run(planner, problem):
        torch.testing.assert_close(
            candidate.cost, goal_cost(problem, candidate.actions), atol=1e-12, rtol=0
        )


@ANY
def test_one_seed_gives_one_plan_to_the_last_bit(planner, make_problem, run):
    first, again = (run(planner, make_problem(dtype=torch.float32), seed=3) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a.actions, b.actions)
        assert torch.equal(a.cost, b.cost)


@ANY
def test_the_shape_of_the_latent_does_not_matter(planner, make_problem, run):
    shapes = (4,), (2, 2)
    flat, grid = (run(planner, make_problem(bent=True, latent_shape=shape)) for shape in shapes)
    for a, b in zip(flat, grid, strict=True):
        torch.testing.assert_close(a.actions, b.actions, atol=1e-10, rtol=0)
        if b.virtual_states is not None:
            torch.testing.assert_close(a.virtual_states, b.virtual_states.flatten(-2))


@SEARCH
def test_another_seed_gives_another_plan(planner, make_problem, run):
    first, other = (run(planner, make_problem(bent=True), seed=s)[-1] for s in (3, 4))
    assert not torch.equal(first.actions, other.actions)


@ANY
def test_a_problem_gets_the_same_plan_alone_and_in_a_batch(planner, make_problem, run):
    batch = make_problem(batch=8, bent=True)
    b = 5
    alone = replace(
        batch,
        start=batch.start[b : b + 1],
        goal=batch.goal[b : b + 1],
        reference_actions=batch.reference_actions[b : b + 1],
    )
    for own, shared in zip(run(planner, alone, seed=b), run(planner, batch), strict=True):
        torch.testing.assert_close(own.actions[0], shared.actions[b], atol=1e-9, rtol=0)
        torch.testing.assert_close(own.cost[0], shared.cost[b], atol=1e-9, rtol=0)


@SEARCH
def test_a_candidate_does_not_change_after_it_was_shown(planner, make_problem):
    noise = NoiseStreams.from_seeds([0, 1])
    plans = planner.plan(make_problem(), noise)
    shown = [next(plans) for _ in range(8)]
    copies = [(c.actions.clone(), c.cost.clone()) for c in shown]
    states = [c.virtual_states.clone() for c in shown if c.virtual_states is not None]
    for _ in range(40):
        next(plans)
    for candidate, (actions, cost) in zip(shown, copies, strict=True):
        assert torch.equal(candidate.actions, actions)
        assert torch.equal(candidate.cost, cost)
    for candidate, before in zip(shown, states, strict=False):
        assert torch.equal(candidate.virtual_states, before)


@SEARCH
def test_leaves_the_callers_gradient_mode_alone(planner, make_problem):
    plans = planner.plan(make_problem(), NoiseStreams.from_seeds([0, 1]))
    for _ in range(3):
        next(plans)
        assert torch.is_grad_enabled()
        with torch.no_grad():
            next(plans)
            assert not torch.is_grad_enabled()


@pytest.mark.parametrize(
    "planner",
    [CEM(samples=4, elites=2, iterations=3), GD(iterations=3), LatCo(iterations=3),
     GRASP(iterations=3), GDAdam(iterations=3), ICEM(samples=4, elites=2, iterations=3),
     MPPI(samples=4, iterations=3), GradCEM(samples=4, elites=2, iterations=3),
     LatCoGN(iterations=3)],
    ids=planner_name,
)  # fmt: skip
def test_starts_over_with_new_numbers_when_a_run_is_over(planner, make_problem, run):
    shown = run(planner, make_problem(bent=True), upto=9)
    # Serial planners show the first plan of the next run under the same count.
    ends = {c.iteration: c for c in reversed(shown) if c.iteration in (3, 6, 9)}
    assert len(ends) == 3
    assert not torch.equal(ends[3].actions, ends[6].actions)
    assert not torch.equal(ends[6].actions, ends[9].actions)
    counts = [c.iteration for c in shown]
    assert counts == sorted(counts)


@pytest.mark.parametrize(
    ("planner", "forward", "backward"),
    [
        # Ten iterations of B = 2 problems, T = 3 steps: 6 rows a rollout.
        (CEM(samples=20, elites=5), 11 * 20 * 6, 0),
        (GD(), 11 * 6, 11 * 6),
        (LatCo(yield_every=5), (10 + 2) * 6, 10 * 6),
        (GRASP(yield_every=5), (10 + 2) * 6, 10 * 6),
        (GRASP(sync_every=5, gd_steps=4), (10 + 2 + 2 * 4) * 6, (10 + 2 * 4) * 6),
        (
            GRASP(sync="cem", sync_every=5, cem_samples=9, cem_iterations=4),
            (10 + 2 + 2 * 4 * 9) * 6,
            10 * 6,
        ),
        (GDAdam(), 11 * 6, 11 * 6),
        # New plans per iteration: 20, 16, 12, then twice the elites.
        (ICEM(samples=20, elites=5), (20 + 16 + 12 + 7 * 10) * 6, 0),
        (MPPI(samples=20), 11 * 20 * 6, 0),
        (GradCEM(samples=8, elites=3, gradient_steps=3), (10 * 4 + 3) * 8 * 6, 11 * 3 * 8 * 6),
        # A Jacobian takes a row for each of the four latents.
        (LatCoGN(yield_every=5), (10 * 4 + 2) * 6, 10 * 4 * 6),
        (Zero(), 6, 0),
        (Random(), 6, 0),
    ],
    ids=planner_name,
)
def test_evaluates_exactly_the_rows_its_algorithm_needs(
    planner, forward, backward, make_problem, run
):
    problem = make_problem(batch=2, steps=3)
    meter = MeteredModel(problem.model)
    run(planner, replace(problem, model=meter), upto=10)
    assert (meter.model_evals_forward, meter.model_evals_backward) == (forward, backward)


def test_every_registered_planner_is_tested_here():
    assert {p.name for p in ALL} == set(PLANNERS.names())
