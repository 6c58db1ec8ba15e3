import numpy as np
import pytest
import torch

from grasp_bench.diagnostics.probes import (
    fit_linear,
    fit_mlp,
    fit_token_probe,
    measure_probes,
    state_errors,
    summarise,
)
from grasp_bench.diagnostics.report_settings import ProbeSettings
from grasp_bench.models.linear import LinearModel
from grasp_bench.models.probe import LatentProbe, flat

QUICK = ProbeSettings(
    frames=1_000, steps=300, batch=128, hidden=64, token_frames=1_500, token_steps=400,
    token_batch=64, token_hidden=64, token_votes=4, choice_frames=200, held_out_frames=300,
)  # fmt: skip


def states(count, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.uniform(60, 450, (count, 7))
    rows[:, 4] = rng.uniform(-np.pi, np.pi, count)
    return rows


def as_latents(rows):
    angle = rows[:, 4:5]
    parts = [rows[:, :4], np.cos(angle), np.sin(angle), np.ones_like(angle)]
    return torch.from_numpy(np.concatenate(parts, axis=1)).float()


def errors_of(probe, rows, latents, view=flat):
    return summarise(state_errors(LatentProbe(probe, view).read(latents), rows))


def test_a_latent_that_is_the_state_is_read_without_error_by_a_linear_probe():
    probe = fit_linear(as_latents(states(200)), states(200))
    errors = errors_of(probe, states(50, 1), as_latents(states(50, 1)))
    assert max(errors.values()) < 0.05


def test_an_mlp_reads_what_a_linear_probe_cannot():
    fit, unseen = states(1_000), states(200, 1)

    def polar(rows):
        block = torch.from_numpy(rows[:, 2:4] - 255).float()
        radius = block.norm(dim=1, keepdim=True)
        return torch.cat([radius, block / radius], dim=1)

    linear = errors_of(fit_linear(polar(fit), fit), unseen, polar(unseen))
    mlp = errors_of(fit_mlp(polar(fit), fit, QUICK, seed=0), unseen, polar(unseen))
    assert mlp["block_px_rmse"] < 0.5 * linear["block_px_rmse"]


def test_a_latent_that_holds_no_angle_cannot_hide_it():
    fit, unseen = states(1_000), states(500, 1)
    blind = errors_of(fit_linear(as_latents(fit)[:, :4], fit), unseen, as_latents(unseen)[:, :4])
    assert blind["block_px_rmse"] < 0.05
    assert 75 < blind["angle_deg_median"] < 105  # chance is 90


def tokens(latents):
    return latents.reshape(-1, 16, 9)


def grid_latents(rows):
    """Latents of 4 x 4 tokens; a token knows where agent and block lie if they are near it."""
    centres = (np.arange(4) + 0.5) * 128
    cells = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(16, 2)
    parts = []
    for columns in (slice(0, 2), slice(2, 4)):
        offset = rows[:, None, columns] - cells
        near = (np.abs(offset) < 64).all(-1, keepdims=True)
        parts += [near * offset / 64, near.astype(float)]
        if columns == slice(2, 4):
            turn = np.stack([np.cos(rows[:, 4]), np.sin(rows[:, 4])], axis=-1)[:, None]
            parts.append(near * turn)
    parts.append(np.zeros((len(rows), 16, 1)))
    return torch.from_numpy(np.concatenate(parts, axis=-1)).float().flatten(1)


def test_tokens_that_know_only_what_is_near_are_read_from_few_frames():
    fit, unseen = states(1_500), states(300, 1)
    probe = fit_token_probe(tokens(grid_latents(fit)), fit, QUICK, seed=0)
    errors = errors_of(probe, unseen, grid_latents(unseen), tokens)
    whole = errors_of(fit_mlp(grid_latents(fit), fit, QUICK, seed=0), unseen, grid_latents(unseen))
    assert errors["block_px_rmse"] < 0.7 * whole["block_px_rmse"]


def test_tokens_must_lie_on_a_square_grid():
    with pytest.raises(ValueError, match="square"):
        fit_token_probe(torch.randn(20, 3, 3), states(20), QUICK, seed=0)


def test_each_quantity_is_read_by_its_best_probe_and_draws_repeat(train, held_out):
    model = LinearModel(torch.eye(4), torch.zeros(4, 10))
    first = measure_probes(model, train, held_out, QUICK, seed=0)
    assert first.chosen["agent_px"] == "linear"  # the latent holds it as it is
    assert first.errors["linear"]["agent_px_rmse"] < 0.1
    assert set(first.errors) == {"linear", "mlp"}
    assert measure_probes(model, train, held_out, QUICK, seed=0).errors == first.errors
