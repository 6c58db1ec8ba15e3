from itertools import pairwise

import pytest
import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.planners import GD


def test_one_step_is_the_hand_computed_gradient_step_plus_noise(make_problem, run):
    problem = make_problem(batch=1, steps=2)
    a, b = problem.model.transition, problem.model.control
    before, after = run(GD(lr=0.3, action_noise=0.05), problem, upto=1)

    first, second = before.actions[0]
    end = a @ (a @ problem.start[0] + b @ first) + b @ second
    by_end = 2 / 4 * (end - problem.goal[0])
    gradient = torch.stack([(a @ b).T @ by_end, b.T @ by_end])
    noise = NoiseStreams.from_seeds([0])
    torch.testing.assert_close(before.actions, noise.normal(2, 2, like=a))
    expected = before.actions - 0.3 * gradient + 0.05 * noise.normal(2, 2, like=a)
    torch.testing.assert_close(after.actions, expected, atol=1e-14, rtol=0)


def test_the_first_step_of_adam_has_the_size_of_its_rate(make_problem, run):
    planner = GD(lr=0.3, action_noise=0.0, optimiser="adam")
    before, after = run(planner, make_problem(), upto=1)
    step = (after.actions - before.actions).abs()
    torch.testing.assert_close(step, torch.full_like(step, 0.3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_the_cost_goes_down(optimiser, make_problem, run):
    planner = GD(lr=0.1, action_noise=0.0, optimiser=optimiser)
    shown = run(planner, make_problem(bent=True), upto=50)
    assert (shown[-1].cost < shown[0].cost).all()


def test_the_zero_start_is_zero(make_problem, run):
    (first,) = run(GD(initial="zero"), make_problem(), upto=0)
    assert not first.actions.any()


def test_the_noise_has_the_size_it_is_given(make_problem, run):
    planner = GD(lr=0.0, action_noise=0.01, initial="zero", iterations=2000)
    shown = run(planner, make_problem(batch=1), upto=1000)
    steps = torch.stack([b.actions - a.actions for a, b in pairwise(shown)])
    assert steps.std().item() == pytest.approx(0.01, rel=0.05)
