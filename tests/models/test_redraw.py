import copy
import math

import pytest
import torch

from grasp_bench.models.redraw import RedrawPredictor, TokenDrawer, TokenReader, turned_back
from grasp_bench.models.redraw_inference import PIECE

GRID, CHANNELS = 4, 3
TOKENS = GRID * GRID * CHANNELS


@pytest.fixture
def predictor():
    torch.manual_seed(0)
    made = RedrawPredictor(
        grid=GRID, channels=CHANNELS, action=10, token_width=8, width=16, blocks=1
    )
    torch.nn.init.normal_(made.dynamics.leave[-1].weight, std=0.1)
    made.pose_mean.copy_(torch.tensor([0.5, -0.5, 0.1, 0.2]))
    made.pose_std.fill_(0.7)
    return made.eval().requires_grad_(False)


def test_a_step_reads_moves_and_draws(predictor):
    state, action = torch.randn(5, TOKENS + 4), torch.randn(5, 10)
    following = predictor(state, action)
    summary = predictor.read(state)
    assert summary.shape == (5, 8)
    torch.testing.assert_close(summary[:, 4:], state[:, TOKENS:])
    moved = predictor.dynamics(summary, action)
    torch.testing.assert_close(following[:, TOKENS:], moved[:, 4:])
    pose = moved[:, :4] * predictor.pose_std + predictor.pose_mean
    torch.testing.assert_close(following[:, :TOKENS], predictor.drawer(pose, moved[:, 4:6]))


@torch.no_grad()
def test_a_state_is_read_once_but_again_after_it_or_the_weights_changed(predictor, monkeypatch):
    calls = []
    whole = predictor._read
    monkeypatch.setattr(predictor, "_read", lambda state: calls.append(1) or whole(state))
    state = torch.randn(3, TOKENS + 4)
    first = predictor.read(state)
    assert predictor.read(state) is first
    predictor(state, torch.zeros(3, 10))
    assert len(calls) == 1
    state.add_(1.0)
    assert not torch.equal(predictor.read(state), first)
    changed = {name: value + 0.1 for name, value in predictor.state_dict().items()}
    second = predictor.read(state)
    predictor.load_state_dict(changed)
    assert not torch.equal(predictor.read(state), second)
    with torch.enable_grad():
        predictor.read(state)
    assert len(calls) == 4


def test_a_pose_is_a_place_and_a_direction(predictor):
    pose = predictor.reader(torch.randn(7, TOKENS))
    torch.testing.assert_close(pose[:, 2:].norm(dim=-1), torch.ones(7))


def test_votes_move_with_what_the_tokens_hold():
    torch.manual_seed(0)
    reader = TokenReader(6, CHANNELS, 2, 8)
    picture = torch.zeros(1, 6, 6, CHANNELS)
    picture[:, 2, 2] = torch.randn(CHANNELS)
    reader.look[0].bias.data.zero_()
    for layer in (reader.look[2], reader.vote):
        layer.bias.data.zero_()
    reader.vote.weight.data[:2] = 0  # no offsets: the place is a mean of cells
    there = reader.look(picture.permute(0, 3, 1, 2))[0, :, 2, 2]
    reader.vote.weight.data[2] = 50 * there / there.square().sum()  # the empty cells hardly count
    beside = picture.roll(1, dims=2)
    moved = reader(beside.flatten(1))[:, :2] - reader(picture.flatten(1))[:, :2]
    cell = reader.cells[1, 0] - reader.cells[0, 0]
    torch.testing.assert_close(moved, torch.tensor([[float(cell), 0.0]]), atol=1e-4, rtol=0)


def test_the_length_of_a_direction_is_not_drawn():
    torch.manual_seed(0)
    drawer = TokenDrawer(GRID, CHANNELS, 2, 8)
    code, agent = torch.randn(3, 4), torch.randn(3, 2)
    longer = torch.cat([code[:, :2], 3 * code[:, 2:]], dim=-1)
    torch.testing.assert_close(drawer(code, agent), drawer(longer, agent))


def test_offsets_turn_back():
    angle = torch.tensor(0.3)
    direction = torch.stack([angle.cos(), angle.sin()])
    turned = torch.tensor([math.cos(0.3 + 1.0), math.sin(0.3 + 1.0)])
    expected = torch.tensor([math.cos(1.0), math.sin(1.0)])
    torch.testing.assert_close(turned_back(turned, direction), expected)


def learning(part):
    """The same network with weights that need gradients: not in its form for planning."""
    return copy.deepcopy(part).requires_grad_()


@torch.no_grad()
@pytest.mark.parametrize("rows", [1, PIECE, 2 * PIECE + 3])
def test_planning_reads_and_draws_what_training_does(predictor, rows):
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(rows, TOKENS + 4, generator=generator)[:, :TOKENS]
    read = predictor.reader(tokens)
    torch.testing.assert_close(read, learning(predictor.reader)(tokens))
    code, agent = torch.randn(2, rows, 4, generator=generator)
    drawn = predictor.drawer(code, agent[:, :2])
    torch.testing.assert_close(drawn, learning(predictor.drawer)(code, agent[:, :2]))
    # What was returned earlier is no buffer that the next call writes to.
    kept = read.clone(), drawn.clone()
    predictor.reader(-tokens), predictor.drawer(-code, agent[:, :2])
    assert torch.equal(read, kept[0])
    assert torch.equal(drawn, kept[1])


@torch.no_grad()
def test_planning_notices_new_weights(predictor):
    tokens = torch.randn(3, TOKENS)
    before = predictor.reader(tokens)
    predictor.reader.look[2].weight.mul_(2)
    after = predictor.reader(tokens)
    assert not torch.allclose(after, before)
    torch.testing.assert_close(after, learning(predictor.reader)(tokens))


def test_gradients_pass_through_drawing_and_reading(predictor):
    state, action = torch.randn(5, TOKENS + 4), torch.randn(5, 10).requires_grad_()
    fixed, free = predictor, learning(predictor)
    for inputs in ([action], [state.requires_grad_(), action]):
        slopes = [
            torch.autograd.grad(p(state, action).square().sum(), inputs) for p in (fixed, free)
        ]
        for mine, theirs in zip(*slopes, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_goal_and_a_state_are_kept_beside_one_another(predictor, monkeypatch):
    calls = []
    whole = predictor._read
    monkeypatch.setattr(predictor, "_read", lambda state: calls.append(len(state)) or whole(state))
    goal, state, action = torch.randn(1, TOKENS + 4), torch.randn(6, TOKENS + 4), torch.zeros(6, 10)
    for _ in range(3):
        predictor.read(goal.expand(6, -1)[:1])
        predictor.read(state)
        state = predictor(state, action)
    assert calls == [1, 6, 6, 6]
