import torch

from grasp_bench.core.types import Problem
from grasp_bench.models.linear import LinearModel
from grasp_bench.planners.objective import dynamics_defect, goal_cost, goal_gradient
from grasp_bench.planners.rollout import rollout


def small_problem():
    generator = torch.Generator().manual_seed(2)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    model = LinearModel(normal(4, 4), normal(4, 2))
    return Problem(model, normal(3, 4), normal(3, 4), steps=2), normal(3, 6, 2, 2)


def test_goal_cost_compares_the_last_state_with_its_own_goal():
    problem, actions = small_problem()
    costs = goal_cost(problem, actions)
    ends = rollout(problem.model, problem.start, actions)[:, :, -1]
    torch.testing.assert_close(costs, (ends - problem.goal[:, None]).square().mean(dim=-1))


def test_goal_gradient_matches_finite_differences():
    problem, actions = small_problem()
    plan = actions[:, 0]
    cost, gradient = goal_gradient(problem, plan)
    torch.testing.assert_close(cost, goal_cost(problem, plan))
    moved = plan.clone()
    moved[1, 0, 1] += 1e-6
    slope = (goal_cost(problem, moved) - cost) / 1e-6
    torch.testing.assert_close(slope[1], gradient[1, 0, 1], atol=1e-4, rtol=1e-4)
    assert slope[0] == slope[2] == 0


def test_a_rollout_has_no_defect_and_a_displaced_state_its_square():
    problem, actions = small_problem()
    plan = actions[:, 0]
    successors = rollout(problem.model, problem.start, plan)
    states = torch.cat([problem.start[:, None], successors[:, :-1]], dim=1)
    assert dynamics_defect(problem.model, states, plan, successors).abs().max() < 1e-24
    successors[:, 1] += 2
    defect = dynamics_defect(problem.model, states, plan, successors)
    torch.testing.assert_close(defect[:, 1], torch.full((3,), 4.0, dtype=torch.float64))
