import math

import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.planners import MPPI
from grasp_bench.planners.mppi import weighted_mean


def test_candidate_k_is_the_plan_after_k_weighted_updates(make_problem, run):
    problem = make_problem(batch=1)
    planner = MPPI(samples=10, sigma=0.4, decay=0.5, temperature=0.2)
    noise = NoiseStreams.from_seeds([0])
    plan = torch.zeros(3, 2, dtype=torch.float64)
    for k, candidate in enumerate(run(planner, problem, upto=3)):
        torch.testing.assert_close(candidate.actions[0], plan)
        draws = noise.normal(10, 3, 2, like=plan)[0] * 0.4 * 0.5**k
        draws[0] = 0
        costs = []
        for draw in draws:
            state = problem.start[0]
            for action in plan + draw:
                state = problem.model.transition @ state + problem.model.control @ action
            costs.append(((state - problem.goal[0]) ** 2).mean().item())
        weights = [math.exp(-(cost - min(costs)) / 0.2) for cost in costs]
        for weight, draw in zip(weights, draws):
            plan = plan + weight / sum(weights) * draw


def test_the_temperature_goes_from_the_best_plan_to_the_mean_of_all():
    plans = torch.arange(6.0).reshape(1, 3, 1, 2)
    costs = torch.tensor([[0.2, 0.1, 0.3]])
    assert weighted_mean(plans, costs, 1e-6).flatten().tolist() == [2.0, 3.0]
    torch.testing.assert_close(weighted_mean(plans, costs, 1e6), plans.mean(dim=1))
