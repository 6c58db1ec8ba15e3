import pytest
import torch

from grasp_bench.models import PoseConfig, PoseWorldModel
from grasp_bench.training.dynamics import LatentEpisodes
from grasp_bench.training.pose import token_autoencoder
from grasp_bench.training.pose.token_autoencoder import (
    TokenAutoencoder,
    codes,
    hints,
    pose_autoencoder,
    redraw_loss,
    scene_autoencoder,
)
from grasp_bench.training.pose.token_model import TokenModel

TINY = PoseConfig(channels=3, encoder_width=8, encoder_blocks=1, token_width=8, width=8, blocks=1)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return PoseWorldModel(TINY)


@pytest.fixture
def tokens(model):
    return TokenModel(model)


@pytest.fixture
def episodes():
    torch.manual_seed(1)
    return LatentEpisodes(
        torch.randn(6, 4, 192).half(), torch.randn(6, 4, 4), torch.randn(6, 15, 2)
    )


def descend(loss, module, steps=30):
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-2)
    values = []
    for step in range(steps):
        value, _ = loss(torch.Generator().manual_seed(step % 3))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(float(value.detach()))
    return values


def test_tokens_are_standardised_channel_by_channel_over_all_cells(tokens):
    features = torch.randn(50, 192) * 3 + 1
    mean, scale = tokens.feature_statistics(features)
    standard = ((features - mean) / scale).reshape(-1, 3)
    torch.testing.assert_close(standard.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.std(0), torch.ones(3))


def test_codes_are_what_the_reader_reads_of_standardised_tokens(model, tokens, episodes):
    tokens.visual_mean.fill_(0.5)
    tokens.visual_std.fill_(2.0)
    read = codes(model.reader, tokens, episodes)
    assert read.features.shape == (6, 4, 4)
    standard = (episodes.features[2, 1].float() - 0.5) / 2.0
    torch.testing.assert_close(read.features[2, 1], model.reader(standard[None])[0])


def test_a_scene_has_free_numbers_and_its_look_is_where_the_pose_begins(model, tokens, episodes):
    scene = scene_autoencoder(model, 5)
    assert codes(scene.reader, tokens, episodes).features.shape == (6, 4, 7)
    values = descend(redraw_loss(scene, tokens, episodes, 8), scene)
    assert values[-1] < values[0]
    pose = pose_autoencoder(model, scene)
    assert pose.reader is model.reader
    for name, value in scene.reader.look.state_dict().items():
        torch.testing.assert_close(pose.reader.look.state_dict()[name], value, rtol=0, atol=0)


def test_hints_are_worked_out_once_and_zero_where_neighbours_disagree(
    model, tokens, episodes, tmp_path, monkeypatch
):
    scene = scene_autoencoder(model, 32)
    directions = torch.nn.functional.normalize(torch.randn(24, 2), dim=-1)
    sure = torch.linspace(0, 1, 24)
    monkeypatch.setattr(
        token_autoencoder, "directions", lambda codes, landmarks, seed: (directions, sure)
    )
    cache = tmp_path / "directions.safetensors"
    found = hints(scene, tokens, episodes, 24, cache, seed=0)
    lengths = found.norm(dim=-1).flatten()
    torch.testing.assert_close(lengths, (sure > 0.5).float())
    monkeypatch.setattr(token_autoencoder, "directions", None)
    torch.testing.assert_close(hints(scene, tokens, episodes, 24, cache, seed=0), found)


def test_a_hint_turns_the_direction_where_there_is_one(model, tokens, episodes):
    pose = TokenAutoencoder(model.reader, model.drawer)
    hint = torch.tensor([0.6, -0.8]).expand(6, 4, 2)
    with_none = redraw_loss(pose, tokens, episodes, 8, hinted=torch.zeros(6, 4, 2))
    plain = redraw_loss(pose, tokens, episodes, 8)
    first, second = (loss(torch.Generator().manual_seed(0))[0] for loss in (with_none, plain))
    torch.testing.assert_close(first, second)
    descend(redraw_loss(pose, tokens, episodes, 8, hinted=hint), pose, steps=80)
    read = codes(pose.reader, tokens, episodes).features[..., 2:]
    assert (read * hint).sum(-1).mean() > 0.95


def test_with_agreement_what_is_drawn_is_read_as_it_was_meant(model, tokens, episodes):
    pose = TokenAutoencoder(model.reader, model.drawer)
    pose.reader.requires_grad_(False)
    loss = redraw_loss(pose, tokens, episodes, 24, agreement=1e5)
    apart = loss(torch.Generator().manual_seed(9))[1]["pose"]
    descend(loss, pose.drawer, steps=60)
    assert loss(torch.Generator().manual_seed(9))[1]["pose"] < apart
