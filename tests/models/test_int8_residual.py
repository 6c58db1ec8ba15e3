"""The predictor in integers of 8 bits: its definition, its kernel, and what it refuses."""

import pytest
import torch

from grasp_bench.models.int8_residual import Int8Kernel, Int8Linear, Int8Residual
from grasp_bench.models.residual import ResidualPredictor

pytestmark = pytest.mark.usefixtures("one_thread")

LATENT, ACTION = 14, 10


def make(blocks=2, width=64, latent=LATENT):
    torch.manual_seed(0)
    predictor = ResidualPredictor(latent, ACTION, width, blocks).requires_grad_(False)
    for parameter in predictor.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return predictor


def inputs(rows, latent=LATENT):
    generator = torch.Generator().manual_seed(rows)
    return tuple(torch.randn(rows, width, generator=generator) for width in (latent, ACTION))


def test_whole_numbers_up_to_127_are_multiplied_exactly():
    layer = torch.nn.Linear(32, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.randint(-127, 128, (3, 32)))
        layer.weight[:, 0] = 127
        layer.bias.zero_()
    rows = torch.randint(-127, 128, (5, 32)).float()
    rows[:, 1] = -127
    with torch.no_grad():
        torch.testing.assert_close(Int8Linear(layer)(rows), layer(rows), rtol=1e-6, atol=1e-3)


def test_a_step_is_within_two_percent_of_the_exact_motion():
    exact, rounded = make(), Int8Residual(make())
    state, action = inputs(500)
    motion, error = exact(state, action) - state, rounded(state, action) - exact(state, action)
    assert 0 < error.norm() < 0.02 * motion.norm()


@pytest.mark.parametrize("rows", [*range(1, 14), 95, 96, 97, 250])
@pytest.mark.parametrize(("blocks", "width", "latent"), [(2, 64, LATENT), (5, 128, 40)])
def test_the_kernel_computes_what_the_layers_do(rows, blocks, width, latent):
    rounded = Int8Residual(make(blocks, width, latent))
    kernel = Int8Kernel.of(rounded)
    if kernel is None:
        pytest.skip("no C compiler here, or a processor without VNNI")
    state, action = inputs(rows, latent)
    fast, slow = kernel.step(state, action), rounded.layered(state, action)
    # A last digit before rounding may decide between two whole numbers.
    assert (fast - slow).abs().max() < 0.02 * (slow - state).abs().max()
    assert (fast - slow).abs().mean() < 0.002 * (slow - state).abs().mean()
    assert rounded(state[:, None], action[:, None]).shape == (rows, 1, latent)


def test_a_state_that_is_no_number_has_no_successor_that_is_one():
    rounded = Int8Residual(make())
    state, action = inputs(3)
    state[1] = float("nan")
    following = rounded(state, action)
    assert following[1].isnan().all()
    assert following[[0, 2]].isfinite().all()


def test_without_a_compiler_the_layers_do_all(monkeypatch):
    monkeypatch.setenv("GRASP_BENCH_COMPILE", "0")
    rounded = Int8Residual(make())
    state, action = inputs(7)
    assert Int8Kernel.of(rounded) is None
    torch.testing.assert_close(rounded(state, action), rounded.layered(state, action))
