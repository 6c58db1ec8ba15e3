import numpy as np
import pytest
import torch

from grasp_bench.training.jepa import agent_functions, isotropy, turning, unexplained


def test_what_the_agent_explains_is_removed_and_the_rest_stays():
    generator = torch.Generator().manual_seed(0)
    place = torch.rand(4000, 2, generator=generator) * 4 - 2
    block = torch.randn(4000, 1, generator=generator)
    functions = agent_functions(place)
    agent = torch.stack([place[:, 0], place[:, 0].sin() * place[:, 1], place[:, 1] ** 2], -1)
    assert unexplained(agent, functions).square().mean() < 0.02 * agent.var(0).mean()
    assert unexplained(block, functions).var() == pytest.approx(1, abs=0.1)


def test_isotropy_is_zero_for_white_features_and_punishes_collapse():
    generator = torch.Generator().manual_seed(0)
    white = torch.randn(20_000, 4, generator=generator) * 1.1
    variance, covariance = isotropy(white)
    assert variance == 0
    assert covariance < 0.001
    collapsed, _ = isotropy(white * 0.01)
    assert collapsed > 0.9
    _, doubled = isotropy(white[:, [0, 0, 1, 1]])
    assert doubled > 0.5


def test_turning_is_zero_on_straight_paths_and_large_on_reversals():
    line = torch.linspace(0, 1, 5)[None, :, None] * torch.tensor([1.0, 2.0, -1.0])
    assert turning(line) == pytest.approx(0, abs=1e-5)
    assert turning(line[:, [0, 1, 0, 1, 0]]) == pytest.approx(2, abs=1e-5)
    assert np.isfinite(float(turning(torch.zeros(2, 5, 3))))
