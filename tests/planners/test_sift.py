"""sift: what it looks at, and how many plans stay."""

import torch

from grasp_bench.core.types import Problem
from grasp_bench.models.linear import LinearModel
from grasp_bench.planners import Sift


class Counting(LinearModel):
    """Notes how many plans each rollout has."""

    def __init__(self):
        super().__init__(torch.eye(2), torch.eye(2, 4))
        self.frameskip, self.rows = 2, []

    def step(self, state, action):
        self.rows.append(action.shape[1])
        return super().step(state, action)


def test_half_of_the_plans_go_after_each_third_of_the_steps(run):
    model = Counting()
    problem = Problem(model, torch.zeros(1, 2), torch.ones(1, 2), 1)
    run(Sift(samples=64, kept=16, iterations=9, halvings=2), problem, upto=10)
    assert model.rows == [64, *[16] * 3, *[8] * 3, *[4] * 3, 4]


def test_the_candidate_is_the_cheapest_plan_so_far(run):
    problem = Problem(Counting(), torch.zeros(1, 2), torch.ones(1, 2), 3)
    candidates = run(Sift(samples=64, kept=16, iterations=9), problem, upto=10)
    costs = [float(candidate.cost) for candidate in candidates]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0] / 2


def test_smooth_plans_go_further_than_white_ones(run):
    """Else looking would be random shooting."""
    reached = {}
    for correlation in (0.0, 0.9):
        problem = Problem(Counting(), torch.zeros(64, 2), torch.full((64, 2), 20.0), 16)
        planner = Sift(samples=64, kept=1, iterations=1, correlation=correlation)
        reached[correlation] = run(planner, problem, upto=0)[0].cost.mean()
    assert reached[0.9] < 0.7 * reached[0.0]
