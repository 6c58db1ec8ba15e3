import json
import math

import numpy as np
import pytest
import torch

from grasp_bench.core.errors import UserError
from grasp_bench.models import CompactConfig, CompactWorldModel, load_model, save_checkpoint
from grasp_bench.models.card import read_card
from grasp_bench.models.linear import LinearModel
from grasp_bench.models.probe import (
    Probe,
    ProbeConfig,
    latent_probe,
    load_probe,
    probe_path,
    save_probe,
)

LATENT = 14
TINY = CompactConfig(encoder_channels=16, width=16, blocks=1, decoder_width=16)
LINEAR = ProbeConfig("linear", LATENT, state=7, lengths=4, angles=1)
MLP = ProbeConfig("mlp", LATENT, state=7, lengths=4, angles=1, hidden=8)
TOKENS = ProbeConfig("tokens", 3, state=7, lengths=4, angles=1, hidden=8, cells=2, votes=4)


class Grid(LinearModel):
    """Has a latent of 2 x 2 tokens of three numbers."""

    def tokens(self, state):
        return state.unflatten(-1, (4, 3))


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(CompactWorldModel(TINY), path, {"supervision": "none"})
    return path


def put(checkpoint, config=LINEAR, **card):
    torch.manual_seed(1)
    sha256 = read_card(checkpoint)["sha256"]
    return save_probe(Probe(config), probe_path(checkpoint), {"model_sha256": sha256} | card)


def test_targets_are_what_states_are_read_from():
    rng = np.random.default_rng(0)
    states = rng.uniform(-3, 3, (5, 7)) * [100, 100, 100, 100, 1, 50, 50]
    probe = Probe(LINEAR)
    read = probe.states(probe.targets(states))
    np.testing.assert_allclose(read[:, :5], states[:, :5], atol=1e-4)
    assert not read[:, 5:].any()


@pytest.mark.parametrize("config", [LINEAR, MLP])
def test_a_checkpoint_loads_with_its_probe(checkpoint, config):
    card = put(checkpoint, config)
    loaded = load_model(str(checkpoint))
    assert loaded.probe_sha256 == card["sha256"]
    assert not any("probe" in name for name in loaded.model.state_dict())
    latents = torch.randn(2_500, LATENT)
    torch.manual_seed(1)
    probe = Probe(config)
    read = loaded.model.probe.read(latents)
    assert read.shape == (2_500, 7)
    np.testing.assert_allclose(read, probe.states(probe(latents).detach()), atol=1e-3)


def test_a_probe_of_tokens_reads_a_model_with_tokens_only():
    probe, latents = Probe(TOKENS), torch.randn(3, 12)
    read = latent_probe(Grid(torch.eye(12), torch.zeros(12, 10)), probe).read(latents)
    expected = probe.states(probe(latents.unflatten(-1, (4, 3))).detach())
    np.testing.assert_allclose(read, expected, atol=1e-4)
    with pytest.raises(ValueError, match="tokens"):
        latent_probe(LinearModel(torch.eye(12), torch.zeros(12, 10)), probe)


def test_a_probe_of_other_weights_is_left_alone(checkpoint):
    put(checkpoint, model_sha256="0" * 64)
    loaded = load_model(str(checkpoint))
    assert loaded.probe_sha256 is None
    assert loaded.model.probe is None
    assert load_probe(checkpoint.with_stem("other"), "0" * 64, loaded.model) is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"inputs": 13}, "mean"),
        ({"kind": "deep"}, "kind"),
        ({"kind": "tokens", "cells": 10**9}, "cells"),
        ({"lengths": 10**9}, "lengths"),
        ({"state": 2}, "state"),
        ({"hidden": 0}, "hidden"),
        ({"hidden": "8"}, "hidden"),
    ],
)
def test_a_card_that_is_not_of_its_probe_is_refused(checkpoint, change, word):
    put(checkpoint)
    path = probe_path(checkpoint)
    card = read_card(path)
    card["architecture"] |= change
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=word):
        load_model(str(checkpoint))


def test_a_probe_must_fit_the_model_and_be_whole(checkpoint):
    put(checkpoint, ProbeConfig("linear", 9, state=7, lengths=4, angles=1))
    with pytest.raises(UserError, match="9"):
        load_model(str(checkpoint))
    put(checkpoint)
    path = probe_path(checkpoint)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(UserError, match="damaged"):
        load_model(str(checkpoint))


def test_angles_are_read_from_cosine_and_sine():
    outputs = torch.tensor([[0.0, 0, 0, 0, 0, -2.0], [0.0, 0, 0, 0, -1.0, 0.0]])
    np.testing.assert_allclose(Probe(LINEAR).states(outputs)[:, 4], [-math.pi / 2, math.pi])
