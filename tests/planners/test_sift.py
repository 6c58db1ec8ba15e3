"""sift: what its noise is for."""

import pytest
import torch

from grasp_bench.core.types import Problem
from grasp_bench.models.linear import LinearModel
from grasp_bench.planners import Sift

SHARP, BROAD = -1.0, 1.0


class TwoWells(LinearModel):
    """Costs 0 at the bottom of a narrow well and 0.1 at that of a wide one."""

    def __init__(self):
        super().__init__(torch.zeros(1, 1), torch.ones(1, 2))

    def step(self, state, action):
        place = action[..., :1]
        sharp = torch.exp(-(((place - SHARP) / 0.15) ** 2))
        broad = torch.exp(-(((place - BROAD) / 0.5) ** 2))
        return (1.0 - sharp - 0.9 * broad).clamp(min=1e-6).sqrt()


@pytest.mark.parametrize(("noise", "well"), [(0.0, SHARP), (0.3, BROAD)])
def test_noise_prefers_a_wide_minimum_to_a_deeper_one(run, noise, well):
    problem = Problem(TwoWells(), torch.ones(1, 1), torch.zeros(1, 1), 1)
    planner = Sift(samples=16, kept=16, iterations=100, lr=0.05, action_noise=noise)
    last = run(planner, problem, upto=101)[-1]
    assert float(last.actions[0, 0, 0]) == pytest.approx(well, abs=0.15)
