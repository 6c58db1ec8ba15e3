import numpy as np
import torch

from envs.demonstrator import sample_start
from grasp_bench.models import JepaConfig, JepaWorldModel, observe
from grasp_bench.types import WorldModel


def states(count):
    rng = np.random.default_rng(0)
    return np.stack([sample_start(rng) for _ in range(count)])


TINY = JepaConfig(
    features=6,
    channels=3,
    encoder_width=8,
    encoder_blocks=1,
    votes=2,
    head_width=8,
    width=16,
    blocks=1,
)


def test_it_is_a_world_model_whose_features_do_not_depend_on_the_batch():
    torch.manual_seed(0)
    model = JepaWorldModel(TINY).eval().requires_grad_(False)
    assert isinstance(model, WorldModel)
    assert model.latent_shape == (10,)
    rows = states(4)
    batch = model.encode(observe(rows, model))
    single = torch.cat([model.encode(observe(row[None], model)) for row in rows])
    torch.testing.assert_close(batch, single, atol=1e-5, rtol=1e-5)
    state, action = torch.randn(2, 3, 10), torch.randn(2, 3, 10)
    assert model.step(state, action).shape == state.shape


def test_the_head_knows_where_a_token_lies():
    torch.manual_seed(0)
    head = JepaWorldModel(TINY).head
    tokens = torch.randn(1, 64, 3)
    assert not torch.allclose(head(tokens), head(tokens.flip(1)))
