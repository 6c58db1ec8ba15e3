import numpy as np
import pytest
import torch

from grasp_bench.diagnostics.brittleness import (
    LandingProblem,
    measure_brittleness,
    smallest_displacements,
)
from grasp_bench.diagnostics.held_out_tasks import cut_tasks
from grasp_bench.models.linear import LinearModel


def landing(transition, radius=0.1, tasks=5):
    """A landing problem in 4 dimensions whose goals are balls of the given radius."""
    model = LinearModel(transition, torch.zeros(4, 10, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    start, goal = torch.randn(2, tasks, 4, generator=generator, dtype=torch.float64)
    threshold = torch.full((tasks,), radius**2 / 4, dtype=torch.float64)  # costs are means
    return LandingProblem(model, start, goal, threshold)


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_a_scaled_identity_needs_the_way_to_the_goals_ball(factor):
    problem = landing(factor * torch.eye(4, dtype=torch.float64))
    delta, landed = smallest_displacements(problem)
    assert landed.all()
    needed = ((problem.goal - factor * problem.start).norm(dim=-1) - 0.1) / factor
    torch.testing.assert_close(delta.norm(dim=-1), needed, rtol=0.01, atol=0)


def test_the_pseudo_inverse_is_found_where_one_direction_is_adversarial():
    # Only the first coordinate is heard of, a hundred times amplified: it alone must change.
    transition = torch.zeros(4, 4, dtype=torch.float64)
    transition[0, 0] = 100.0
    problem = landing(transition)
    problem.goal[:, 1:] = 0.0
    delta, _ = smallest_displacements(problem)
    needed = (problem.goal[:, 0] / 100 - problem.start[:, 0]).abs() - 0.001
    torch.testing.assert_close(delta[:, 0].abs(), needed, rtol=0.02, atol=0)
    assert delta[:, 1:].norm(dim=-1).max() < 0.05 * needed.min()


def test_what_cannot_land_is_said_not_to_land():
    problem = landing(torch.zeros(4, 4, dtype=torch.float64))
    assert not smallest_displacements(problem, steps=20)[1].any()


def standing(factor):
    return LinearModel(factor * torch.eye(4), torch.zeros(4, 10))


def test_the_number_is_one_for_a_model_where_nothing_moves(held_out):
    identity = standing(1.0)
    tasks = cut_tasks(identity, held_out, 80, 4, seed=0)
    measured = measure_brittleness(identity, tasks, held_out, seed=0)
    np.testing.assert_allclose(measured.ratio, 1.0, rtol=0.01)
    assert measured.random_landed == 0
    assert measured.gradient_landed.all()  # its gradient points straight at the goal
    assert measured.to_json()["ratio_median"] == pytest.approx(1.0, rel=0.01)


def test_states_are_at_rest(held_out):
    model = standing(1.0)
    resting = cut_tasks(model, held_out, 80, 4, seed=0).at_rest(model)
    assert not resting.goal[:, 2:].any()
    assert not resting.start[:, 2:].any()
    assert resting.start[:, :2].all()
