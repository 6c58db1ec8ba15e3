from itertools import pairwise

import pytest
import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.planners import ICEM
from grasp_bench.planners._numerics.coloured_noise import coloured_noise


def test_iterations_are_the_published_ones(make_problem, run):
    problem = make_problem(batch=1)
    planner = ICEM(
        samples=12, elites=4, iterations=3, sigma=0.8, colour=1.5, decay=1.3, momentum=0.2, kept=0.5
    )
    noise = NoiseStreams.from_seeds([0])
    mean = torch.zeros(3, 2, dtype=torch.float64)
    deviation = torch.full_like(mean, 0.8)

    def cost_of(plan):
        state = problem.start[0]
        for action in plan:
            state = problem.model.transition @ state + problem.model.control @ action
        return ((state - problem.goal[0]) ** 2).mean().item()

    elites = []
    # 12, 12 / 1.3 and 12 / 1.69 new plans, but never fewer than twice the elites.
    for candidate, count in zip(run(planner, problem, upto=3), (12, 9, 8), strict=True):
        draws = coloured_noise(noise, 1.5, count, 3, 2, like=mean)[0]
        if candidate.iteration == 3:
            draws[0] = 0
        plans = [*(mean + deviation * draws), *elites[:2]]
        elites = sorted(plans, key=cost_of)[:4]
        torch.testing.assert_close(candidate.actions[0], elites[0])
        assert candidate.cost.item() == pytest.approx(cost_of(elites[0]))
        chosen = torch.stack(elites)
        mean = 0.2 * mean + 0.8 * chosen.mean(dim=0)
        deviation = 0.2 * deviation + 0.8 * chosen.std(dim=0)


def test_the_best_plan_of_a_run_never_gets_worse(make_problem, run):
    costs = [c.cost for c in run(ICEM(samples=20, elites=5), make_problem(bent=True), upto=20)]
    assert all((after <= before).all() for before, after in pairwise(costs))


def draw(exponent, steps, count=40_000):
    like = torch.zeros((), dtype=torch.float64)
    return coloured_noise(NoiseStreams.from_seeds([0]), exponent, count, steps, 1, like=like)[0]


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 9])
@pytest.mark.parametrize("exponent", [0.0, 2.0])
def test_every_number_of_coloured_noise_is_standard_normal(exponent, steps):
    draws = draw(exponent, steps)
    assert draws.shape == (40_000, steps, 1)
    torch.testing.assert_close(draws.mean(0), torch.zeros_like(draws[0]), atol=0.03, rtol=0)
    torch.testing.assert_close(draws.std(0), torch.ones_like(draws[0]), atol=0.03, rtol=0)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("steps", [8, 9])
def test_the_power_of_coloured_noise_falls_with_frequency_as_asked(exponent, steps):
    power = torch.fft.rfft(draw(exponent, steps)[..., 0]).abs().square().mean(0)
    frequencies = torch.fft.rfftfreq(steps)[1:]
    expected = (frequencies / frequencies[0]) ** -exponent
    torch.testing.assert_close((power[1:] / power[1]).float(), expected, atol=0.02, rtol=0.05)


def test_white_noise_is_independent_from_step_to_step():
    draws = draw(0.0, 6)[..., 0]
    torch.testing.assert_close(torch.corrcoef(draws.T), torch.eye(6).double(), atol=0.02, rtol=0)
