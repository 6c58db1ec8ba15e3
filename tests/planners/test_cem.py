import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Problem
from grasp_bench.planners import CEM
from grasp_bench.planners.cem import refit, sample


def test_refit_is_the_mean_and_deviation_of_the_elites():
    plans = torch.tensor([1.0, 5.0, 100.0, 3.0]).reshape(1, 4, 1, 1)
    costs = torch.tensor([[0.3, 0.1, 9.0, 0.2]])
    mean, deviation = refit(plans, costs, elites=3)
    assert mean.item() == 3.0
    assert deviation.item() == 2.0


def test_each_problem_is_refitted_to_its_own_elites():
    plans = torch.arange(8.0).reshape(2, 4, 1, 1)
    costs = torch.tensor([[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]])
    mean, _ = refit(plans, costs, elites=2)
    assert mean.flatten().tolist() == [0.5, 6.5]


def test_a_plan_whose_cost_is_not_a_number_is_no_elite():
    plans = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    mean, _ = refit(plans, torch.tensor([[float("nan"), 1.0, 1.0]]), elites=2)
    assert mean.item() == 2.5


def test_the_population_is_gaussian_and_its_first_plan_is_the_mean():
    mean = torch.full((1, 2, 3), 4.0)
    problem = Problem(None, mean, mean, steps=2)
    deviation, noise = torch.full_like(mean, 0.5), NoiseStreams.from_seeds([0])
    population = sample(problem, mean, deviation, 20_000, noise)
    assert torch.equal(population[:, 0], mean)
    torch.testing.assert_close(population.mean(dim=1), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(population.std(dim=1), torch.full_like(mean, 0.5), atol=0.02, rtol=0)


def test_candidate_k_is_the_mean_after_k_refits(make_problem, run):
    problem = make_problem(batch=1)
    zeroth, first, second = run(CEM(samples=10, elites=3, sigma=2.0), problem, upto=2)
    noise = NoiseStreams.from_seeds([0])
    mean, deviation = torch.zeros(1, 3, 2), torch.full((1, 3, 2), 2.0)
    mean, deviation = mean.double(), deviation.double()
    for candidate in (zeroth, first, second):
        torch.testing.assert_close(candidate.actions, mean)
        draws = noise.normal(10, 3, 2, like=mean)[0]
        plans = [mean[0]] + [mean[0] + deviation[0] * draw for draw in draws[1:]]
        costs = []
        for plan in plans:
            state = problem.start[0]
            for action in plan:
                state = problem.model.transition @ state + problem.model.control @ action
            costs.append(((state - problem.goal[0]) ** 2).mean().item())
        best = sorted(range(10), key=costs.__getitem__)[:3]
        elites = torch.stack([plans[i] for i in best])
        mean, deviation = elites.mean(dim=0)[None], elites.std(dim=0)[None]
