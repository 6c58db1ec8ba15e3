import pytest
import torch

from grasp_bench.planners import Demo, Random, Zero
from grasp_bench.types import NoiseStreams, Problem

NO_NOISE = NoiseStreams([])


def test_zero_is_the_environments_zero_not_the_models(make_problem):
    problem = make_problem()
    problem.model.normalise_actions = lambda actions: actions.reshape(2, 3, 2) + 0.25
    (candidate,) = Zero().plan(problem, NO_NOISE)
    assert torch.equal(candidate.actions, torch.full((2, 3, 2), 0.25, dtype=torch.float64))


@pytest.mark.parametrize(("planner", "reference"), [(Demo(), "own"), (Random(), "other")])
def test_demo_and_random_show_the_reference_they_ask_for(planner, reference, make_problem):
    problem = make_problem()
    (candidate,) = planner.plan(problem, NO_NOISE)
    assert planner.reference == reference
    assert torch.equal(candidate.actions, problem.reference_actions)


def test_demo_without_a_reference_is_an_error(make_problem):
    with_reference = make_problem()
    problem = Problem(with_reference.model, with_reference.start, with_reference.goal, 3)
    with pytest.raises(ValueError, match="reference_actions"):
        next(Demo().plan(problem, NO_NOISE))
