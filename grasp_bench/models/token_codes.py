"""Reads a short code from a grid of tokens, and draws the tokens of a code.

The code of the pose model is the block's pose: a place and a direction. Training begins with a
code of a place and more numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from grasp_bench.models.inference_copy import TransposedLinear
from grasp_bench.models.layers import cell_centres, mlp

# Half of what the picture spans, in units of standardised positions of the agent.
REACH = 2.5
HEADS, LAYERS = 8, 3  # of attention in the reader; of the drawing network
DIRECTION = 2  # a code with this many numbers after its place holds a unit vector
POSE_SIZE = 2 + DIRECTION  # a place and a direction


class TokenReader(nn.Module):
    """Reads tokens [N, G * G * C], cell by cell, as codes [N, 2 + R].

    A code begins with a place, the weighted mean of the tokens' votes. Its other R numbers are
    an MLP of features that attention heads pool from all tokens. If R = 2 they are a
    direction, scaled to unit length.
    """

    cells: Tensor

    def __init__(self, grid: int, channels: int, rest: int, width: int) -> None:
        super().__init__()
        self.shape, self.rest = (grid, grid, channels), rest
        self.look = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 1),
            nn.SiLU(),
        )
        self.vote = nn.Linear(width, 3)
        self.attention = nn.Linear(width, HEADS)
        self.describe = nn.Sequential(
            TransposedLinear(HEADS * width, 2 * width),
            nn.SiLU(),
            TransposedLinear(2 * width, rest),
        )
        self.register_buffer("cells", cell_centres(grid) * REACH, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns the codes."""
        picture = tokens.reshape(-1, *self.shape).permute(0, 3, 1, 2)
        seen = self.look(picture).flatten(2).transpose(1, 2)
        # Contiguous: another layout rounds differently from the stored results.
        votes = self.vote(seen).transpose(1, 2).contiguous()
        offsets, shares = votes[:, :2], votes[:, 2:].softmax(dim=-1)
        place = ((offsets + self.cells.t()) * shares).sum(-1)
        pooled = self.attention(seen).transpose(1, 2).softmax(dim=-1) @ seen
        rest = self.describe(pooled.flatten(1))
        if self.rest == DIRECTION:
            rest = nn.functional.normalize(rest, dim=-1)
        return torch.cat([place, rest], dim=-1)


class TokenDrawer(nn.Module):
    """Draws tokens [N, G * G * C] of codes [N, 2 + R] and the agent's places [N, 2].

    An MLP draws every token by itself, from its cell's offsets to the code's place and to the
    agent. The other R numbers of the code modulate it (FiLM, Perez et al., 2018). If R = 2,
    the offset in a frame that turns with the direction is an input, too.
    """

    cells: Tensor

    def __init__(self, grid: int, channels: int, rest: int, width: int) -> None:
        super().__init__()
        self.rest, self.width = rest, width
        self.enter = nn.Linear(8 if rest == DIRECTION else 6, width)
        self.modulate = mlp(rest, width, width, 2 * width * LAYERS)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(LAYERS - 1))
        self.leave = nn.Linear(width, channels)
        self.register_buffer("cells", cell_centres(grid) * REACH, persistent=False)

    def forward(self, code: Tensor, agent: Tensor) -> Tensor:
        """Returns the tokens, cell by cell, row by row."""
        place, rest = code.tensor_split([2], dim=-1)
        if self.rest == DIRECTION:
            rest = nn.functional.normalize(rest, dim=-1)
        offset, to_agent = self.cells - place[:, None], self.cells - agent[:, None]
        near = [torch.exp(-2 * x.square().sum(-1, keepdim=True)) for x in (offset, to_agent)]
        inputs = [offset, to_agent, *near]
        if self.rest == DIRECTION:
            inputs.append(turned_back(offset, rest[:, None]))
        hidden = self.enter(torch.cat(inputs, dim=-1))
        films = self.modulate(rest).reshape(-1, 1, LAYERS, 2, self.width)
        for i in range(LAYERS):
            scale, shift = films[:, :, i].unbind(2)
            hidden = nn.functional.silu(torch.addcmul(hidden, hidden, scale) + shift)
            if i < LAYERS - 1:
                hidden = self.layers[i](hidden)
        tokens: Tensor = self.leave(hidden)
        return tokens.flatten(1)


def turned_back(offsets: Tensor, direction: Tensor) -> Tensor:
    """Returns offsets [..., 2] in the frame whose first axis is `direction` [..., 2]."""
    (x, y), (cos, sin) = offsets.unbind(-1), direction.unbind(-1)
    return torch.stack([x * cos + y * sin, y * cos - x * sin], dim=-1)
