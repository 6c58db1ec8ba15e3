"""The compiled kernel against the layers that it stands for."""

import pytest
import torch

from grasp_bench.core import compiler
from grasp_bench.models.compiled_residual import CompiledLayers, compiled_step
from grasp_bench.models.residual import ResidualPredictor

pytestmark = pytest.mark.usefixtures("one_thread")

LATENT, ACTION = 14, 10


def make(blocks=2, width=64, latent=LATENT):
    torch.manual_seed(0)
    predictor = ResidualPredictor(latent, ACTION, width, blocks).requires_grad_(False)
    for parameter in predictor.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return predictor


@pytest.fixture
def predictor():
    predictor = make()
    if CompiledLayers.of(predictor) is None:
        pytest.skip("no C compiler here")
    return predictor


def results(step, state, action, upstream):
    state, action = state.detach().requires_grad_(), action.detach().requires_grad_()
    following = step(state, action)
    both = torch.autograd.grad(following, (state, action), upstream, retain_graph=True)
    (alone,) = torch.autograd.grad(step(state.detach(), action), action, upstream)
    return following.detach(), *both, alone


@pytest.mark.parametrize("rows", [*range(1, 14), 95, 96, 97, 250])
def test_steps_and_gradients_are_those_of_the_layers(predictor, rows):
    generator = torch.Generator().manual_seed(rows)
    state, action, upstream = (
        torch.randn(rows, width, generator=generator) for width in (LATENT, ACTION, LATENT)
    )
    layers = CompiledLayers.of(predictor)
    for fast, slow in zip(
        results(lambda s, a: compiled_step(s, a, layers), state, action, upstream),
        results(predictor.layered, state, action, upstream),
        strict=True,
    ):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4 * float(slow.abs().max()))


@pytest.mark.parametrize(("blocks", "width", "latent"), [(0, 32, 4), (1, 96, 40), (5, 128, 14)])
def test_other_sizes(predictor, blocks, width, latent):
    other = make(blocks, width, latent)
    layers = CompiledLayers.of(other)
    state, action = torch.randn(7, latent), torch.randn(7, ACTION)
    torch.testing.assert_close(
        compiled_step(state, action, layers), other.layered(state, action), rtol=1e-4, atol=1e-4
    )


def test_leading_dimensions_and_views(predictor):
    state = torch.randn(3, 1, LATENT).expand(3, 5, LATENT)
    action = torch.randn(ACTION, 3, 5).permute(1, 2, 0)
    torch.testing.assert_close(
        predictor(state, action), predictor.layered(state, action), rtol=1e-4, atol=1e-4
    )
    assert predictor(state[:, :0], action[:, :0]).shape == (3, 0, LATENT)


def test_extreme_inputs_end_as_the_layers_do(predictor):
    state = torch.tensor([[1e4], [-1e4], [float("nan")]]).expand(3, LATENT)
    fast, slow = (f(state, torch.zeros(3, ACTION)) for f in (predictor, predictor.layered))
    torch.testing.assert_close(fast[:2], slow[:2], rtol=1e-3, atol=1e-2)
    assert fast[2].isnan().all()


@pytest.mark.parametrize("width", [40, 16])
def test_a_width_that_the_kernel_does_not_know_is_left_to_torch(predictor, width):
    other = make(width=width)
    assert CompiledLayers.of(other) is None
    state, action = torch.randn(7, LATENT), torch.randn(7, ACTION)
    torch.testing.assert_close(other(state, action), other.layered(state, action))


def test_a_kernel_that_computes_something_else_is_not_used(predictor, monkeypatch):
    monkeypatch.setattr(CompiledLayers, "forward", lambda self, state, action, keep: (state, None))
    assert CompiledLayers.of(predictor) is None


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiler._compiled.cache_clear()
    yield tmp_path / "grasp-bench"
    compiler._compiled.cache_clear()


def test_a_kernel_is_compiled_once_a_machine(predictor, fresh):
    CompiledLayers.of(predictor)
    (library,) = fresh.iterdir()
    made = library.stat().st_mtime_ns
    compiler._compiled.cache_clear()
    assert CompiledLayers.of(predictor) is not None
    assert library.stat().st_mtime_ns == made


def test_a_home_that_cannot_be_written_to(predictor, fresh):
    fresh.write_text("a file, no folder")
    assert CompiledLayers.of(predictor) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [("GRASP_BENCH_COMPILE", "0"), ("CC", "no-such-compiler"), ("CC", "false")],
)
def test_without_a_compiler_torch_does_all(fresh, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    other = make()
    assert compiler.compiler_version() is None
    assert CompiledLayers.of(other) is None
    state, action = torch.randn(7, LATENT), torch.randn(7, ACTION)
    torch.testing.assert_close(other(state, action), other.layered(state, action))


def test_source_that_does_not_compile(fresh, tmp_path):
    source = tmp_path / "broken.c"
    source.write_text("int columns(void) {")
    assert compiler.compiled(source) is None
