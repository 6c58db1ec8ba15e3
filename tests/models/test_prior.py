import json

import pytest
import torch

from grasp_bench.core.errors import UserError
from grasp_bench.models import CompactConfig, CompactWorldModel, load_model, save_checkpoint
from grasp_bench.models.inference_copy import TransposedLinear
from grasp_bench.models.prior import (
    MixturePrior,
    PriorConfig,
    prior_path,
    save_prior,
)

LATENT, ACTION = 14, 10
TINY = CompactConfig(encoder_channels=16, width=16, blocks=1, decoder_width=16)


def make_prior(**changes):
    torch.manual_seed(1)
    return MixturePrior(PriorConfig(LATENT, ACTION, components=3, width=16, blocks=1, **changes))


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    card = save_checkpoint(CompactWorldModel(TINY), path, {"supervision": "none"})
    save_prior(make_prior(), prior_path(path), {"model_sha256": card["sha256"]})
    return path


def test_samples_follow_the_mixture():
    prior, state, goal = make_prior(), torch.randn(1, LATENT), torch.randn(1, LATENT)
    with torch.no_grad():
        weights, means, deviations = (x[0] for x in prior(state, goal, torch.tensor([4])))
        many = 40_000
        draws = torch.randn(many, prior.draws)
        actions = prior.sample(
            state.expand(many, -1), goal.expand(many, -1), 4, draws, temperature=1.0
        )
    mean = (weights.exp()[:, None] * means).sum(0)
    square = (weights.exp()[:, None] * (means**2 + deviations.exp() ** 2)).sum(0)
    torch.testing.assert_close(actions.mean(0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(actions.square().mean(0), square, atol=0.1, rtol=0.05)


def test_without_temperature_actions_are_means_as_often_as_their_weights():
    prior, state = make_prior(), torch.randn(1, LATENT)
    with torch.no_grad():
        weights, means, _ = (x[0] for x in prior(state, state, torch.tensor([2])))
        draws = torch.randn(20_000, prior.draws)
        states = state.expand(len(draws), -1)
        actions = prior.sample(states, states, 2, draws, temperature=0.0)
    nearest = torch.cdist(actions, means).min(dim=1)
    assert nearest.values.max() < 1e-3
    share = torch.bincount(nearest.indices, minlength=3) / len(draws)
    torch.testing.assert_close(share, weights.exp(), atol=0.02, rtol=0)


def test_the_log_likelihood_is_that_of_the_mixture():
    prior = make_prior()
    state, goal, action = torch.randn(6, LATENT), torch.randn(6, LATENT), torch.randn(6, ACTION)
    left = torch.arange(1, 7)
    with torch.no_grad():
        weights, means, deviations = prior(state, goal, left)
        gaussians = torch.distributions.Independent(
            torch.distributions.Normal(means, deviations.exp()), 1
        )
        mixture = torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(logits=weights), gaussians
        )
        torch.testing.assert_close(
            prior.log_likelihood(state, goal, left, action), mixture.log_prob(action)
        )


def test_any_leading_dimensions_give_what_rows_alone_give():
    prior = make_prior()
    state, goal = torch.randn(2, 3, LATENT), torch.randn(2, 3, LATENT)
    draws = torch.randn(2, 3, prior.draws)
    with torch.no_grad():
        together = prior.sample(state, goal, 5, draws, 0.7)
        alone = prior.sample(state[1, 2], goal[1, 2], 5, draws[1, 2], 0.7)
    torch.testing.assert_close(together[1, 2], alone)


def test_a_checkpoint_loads_with_its_prior_whose_weights_are_no_part_of_the_model(checkpoint):
    loaded = load_model(str(checkpoint))
    card = json.loads(prior_path(checkpoint).with_suffix(".json").read_text())
    assert loaded.prior_sha256 == card["sha256"]
    assert not any("prior" in name for name in loaded.model.state_dict())
    weights = loaded.model.prior.mixture.state_dict()
    for name, value in make_prior().state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=0)


def test_a_prior_of_other_weights_is_left_alone(checkpoint):
    path = prior_path(checkpoint).with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_sha256": "0" * 64}))
    loaded = load_model(str(checkpoint))
    assert loaded.prior_sha256 is None
    assert loaded.model.prior is None


def test_a_damaged_prior_is_refused(checkpoint):
    path = prior_path(checkpoint)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(UserError, match="damaged"):
        load_model(str(checkpoint))


def test_a_transposed_linear_is_a_linear_and_notices_new_weights():
    layer = TransposedLinear(5, 3).requires_grad_(False)
    rows = torch.randn(2, 4, 5)
    for _ in range(2):
        plain = torch.nn.functional.linear(rows, layer.weight, layer.bias)
        torch.testing.assert_close(layer(rows), plain)
        layer.weight.mul_(2)
    layer.requires_grad_(True)
    layer(rows).sum().backward()
    assert layer.weight.grad is not None
