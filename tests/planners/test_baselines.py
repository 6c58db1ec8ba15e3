import pytest
import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Problem
from grasp_bench.planners import Demo, Random, ShuffledDemo, Zero

NO_NOISE = NoiseStreams([])


def test_zero_is_the_environments_zero_not_the_models(make_problem):
    problem = make_problem()
    problem.model.normalise_actions = lambda actions: actions.reshape(2, 3, 2) + 0.25
    (candidate,) = Zero().plan(problem, NO_NOISE)
    assert torch.equal(candidate.actions, torch.full((2, 3, 2), 0.25, dtype=torch.float64))


def test_random_actions_are_standard_normal_and_each_problems_own(make_problem):
    problem = make_problem(batch=2, steps=5000)
    noise = NoiseStreams.from_seeds([0, 1])
    (candidate,) = Random().plan(problem, noise)
    assert candidate.actions.shape == (2, 5000, 2)
    for actions in candidate.actions:
        torch.testing.assert_close(actions.mean(dim=0), actions.new_zeros(2), atol=0.05, rtol=0)
        torch.testing.assert_close(actions.std(dim=0), actions.new_ones(2), atol=0.05, rtol=0)
    one, other = candidate.actions.flatten(1)
    assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 0.05
    # Successive actions of one plan are as independent.
    assert abs(torch.corrcoef(torch.stack([one[:-2], one[2:]]))[0, 1]) < 0.05


@pytest.mark.parametrize(("planner", "reference"), [(Demo(), "own"), (ShuffledDemo(), "other")])
def test_demonstrations_show_the_reference_they_ask_for(planner, reference, make_problem):
    problem = make_problem()
    (candidate,) = planner.plan(problem, NO_NOISE)
    assert planner.reference == reference
    assert torch.equal(candidate.actions, problem.reference_actions)


@pytest.mark.parametrize("planner", [Demo(), ShuffledDemo()])
def test_a_demonstration_without_a_reference_is_an_error(planner, make_problem):
    given = make_problem()
    problem = Problem(given.model, given.start, given.goal, 3)
    with pytest.raises(ValueError, match="reference_actions"):
        next(planner.plan(problem, NO_NOISE))
