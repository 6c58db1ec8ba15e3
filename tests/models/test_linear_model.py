import pytest
import torch

from grasp_bench.core.types import Observation, Problem, WorldModel
from grasp_bench.models.linear import LinearModel
from grasp_bench.planners.objective import goal_cost, goal_gradient


def normal(*shape, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_it_is_a_world_model():
    assert isinstance(LinearModel(normal(4, 4), normal(4, 2)), WorldModel)


@pytest.mark.parametrize("steps", [1, 2, 6])
def test_no_plan_near_the_optimum_is_better(steps):
    model = LinearModel(normal(8, 8), normal(8, 2, seed=4))
    problem = Problem(model, normal(5, 8, seed=5), normal(5, 8, seed=6), steps)
    best = model.optimum(problem.start, problem.goal, steps)
    cost, gradient = goal_gradient(problem, best)
    assert gradient.abs().max() < 1e-9
    for seed in range(5):
        nearby = best + 0.1 * normal(*best.shape, seed=seed)
        assert (goal_cost(problem, nearby) >= cost).all()


def test_among_the_best_plans_the_optimum_is_the_smallest():
    model = LinearModel(normal(4, 4), normal(4, 2, seed=4))
    start, goal = normal(2, 4, seed=5), normal(2, 4, seed=6)
    best = model.optimum(start, goal, 5)
    other = normal(2, 5, 2, seed=7)
    back = model.optimum(start, goal_of(model, start, other), 5)
    assert (back.square().sum((1, 2)) < other.square().sum((1, 2))).all()
    assert goal_cost(Problem(model, start, goal, 5), best).max() < 1e-20


def goal_of(model, start, actions):
    state = start
    for action in actions.unbind(dim=1):
        state = model.step(state, action)
    return state


def test_actions_are_stacked_by_frameskip_and_unstacked_again():
    model = LinearModel(normal(4, 4), normal(4, 10))
    assert model.frameskip == 5
    environment = normal(3, 20, 2)
    stacked = model.normalise_actions(environment)
    assert stacked.shape == (3, 4, 10)
    assert torch.equal(stacked[1, 2, 2:4], environment[1, 11])
    assert torch.equal(model.denormalise_actions(stacked), environment)


def test_the_latent_is_the_proprioceptive_state():
    observation = Observation(torch.zeros(2, 8, 8, 3, dtype=torch.uint8), torch.rand(2, 4))
    latent = LinearModel(normal(4, 4), normal(4, 2)).encode(observation)
    assert torch.equal(latent, observation.proprio.double())
    with pytest.raises(ValueError, match="latent of 3 dimensions"):
        LinearModel(normal(3, 3), normal(3, 2)).encode(observation)


@pytest.mark.parametrize(
    ("transition", "control"), [((3, 4), (3, 2)), ((4, 4), (3, 2)), ((4, 4), (4, 3))]
)
def test_matrices_that_do_not_fit_are_refused(transition, control):
    with pytest.raises(ValueError, match="must be"):
        LinearModel(normal(*transition), normal(*control))
