import math

import torch

from grasp_bench.models.token_codes import TokenDrawer, TokenReader, turned_back

GRID, CHANNELS = 4, 3
TOKENS = GRID * GRID * CHANNELS


def test_a_pose_is_a_place_and_a_direction():
    torch.manual_seed(0)
    pose = TokenReader(GRID, CHANNELS, 2, 8)(torch.randn(7, TOKENS))
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
