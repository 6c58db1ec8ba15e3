import pytest
import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.planners._numerics.coloured_noise import autoregressive_noise


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.95])
def test_autoregressive_noise_is_standard_normal_and_correlated_as_asked(correlation):
    noise = NoiseStreams.from_seeds([0])
    draws = autoregressive_noise(noise, correlation, 20_000, 6, 2, like=torch.zeros(1).double())[0]
    assert draws.mean(dim=0).abs().max() < 0.03
    torch.testing.assert_close(draws.std(dim=0), torch.ones(6, 2).double(), atol=0.03, rtol=0)
    for lag in (1, 3):
        product = (draws[:, :-lag] * draws[:, lag:]).mean(dim=0)
        expected = torch.full_like(product, correlation**lag)
        torch.testing.assert_close(product, expected, atol=0.03, rtol=0)


def test_repeated_streams_draw_their_problems_numbers_in_turn():
    like = torch.zeros(1)
    apart = NoiseStreams.from_seeds([3, 4]).normal(2, 5, like=like)
    repeated = NoiseStreams.from_seeds([3, 4]).repeated(2)
    assert len(repeated) == 4
    assert torch.equal(repeated.normal(5, like=like), apart.flatten(0, 1))
