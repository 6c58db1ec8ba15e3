import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.planners import CEM, GradCEM


def test_samples_descend_before_the_refit(make_problem, run):
    problem = make_problem(batch=1, steps=2)
    a, b = problem.model.transition, problem.model.control
    planner = GradCEM(samples=6, elites=3, sigma=0.8, gradient_steps=3, lr=0.3)
    noise = NoiseStreams.from_seeds([0])
    mean = torch.zeros(2, 2, dtype=torch.float64)
    deviation = torch.full_like(mean, 0.8)

    def miss(plan):
        return a @ (a @ problem.start[0] + b @ plan[0]) + b @ plan[1] - problem.goal[0]

    for candidate in run(planner, problem, upto=3):
        torch.testing.assert_close(candidate.actions[0], mean)
        torch.testing.assert_close(candidate.cost[0], miss(mean).square().mean())
        draws = noise.normal(6, 2, 2, like=mean)[0]
        draws[0] = 0
        plans = list(mean + deviation * draws)
        for _ in range(3):
            ends = [2 / 4 * miss(plan) for plan in plans]
            gradients = [torch.stack([(a @ b).T @ end, b.T @ end]) for end in ends]
            plans = [plan - 0.3 * gradient for plan, gradient in zip(plans, gradients)]
        elites = torch.stack(sorted(plans, key=lambda plan: miss(plan).square().mean())[:3])
        mean, deviation = elites.mean(dim=0), elites.std(dim=0)


def test_without_a_step_it_is_cem(make_problem, run):
    problem = make_problem(bent=True)
    still = GradCEM(samples=20, elites=5, lr=0.0)
    for ours, theirs in zip(run(still, problem), run(CEM(samples=20, elites=5), problem)):
        assert torch.equal(ours.actions, theirs.actions)
