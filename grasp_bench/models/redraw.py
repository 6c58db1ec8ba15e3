"""A predictor over a grid of tokens: read them into a short code, move that, draw them anew.

A predictor that changes every token by itself draws, wherever it is unsure, the mean of what
may happen, and its own smear is what it sees next. Here whatever is drawn is a scene that
some code describes, and a code holds one pose of a rigid block, not two.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from grasp_bench.models.residual import ResidualPredictor

# Half of what the picture spans, in units of standardised positions of the agent.
REACH = 2.5
LAYERS = 3  # of the drawing network


def cell_centres(grid: int) -> Tensor:
    """Where the cells of a grid lie, [G * G, 2] (x, y), row by row."""
    centres = ((torch.arange(grid) + 0.5) * (2 / grid) - 1) * REACH
    rows, columns = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([columns, rows], dim=-1).reshape(-1, 2)


class TokenReader(nn.Module):
    """Tokens [N, G * G * C], cell by cell, to codes [N, 2 P + R].

    Each of P points is where the tokens, each from its own place, vote that it lies. The other R
    numbers are an MLP of features that heads of attention pool from all tokens.
    """

    cells: Tensor

    def __init__(self, grid: int, channels: int, points: int, rest: int, width: int) -> None:
        super().__init__()
        self.shape, self.points = (grid, grid, channels), points
        self.look = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 1),
            nn.SiLU(),
        )
        heads = 8
        self.vote = nn.Linear(width, 3 * points)
        self.attention = nn.Linear(width, heads)
        self.describe = nn.Sequential(
            nn.Linear(heads * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, rest)
        )
        self.register_buffer("cells", cell_centres(grid), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """The codes."""
        picture = tokens.reshape(-1, *self.shape).permute(0, 3, 1, 2)
        seen = self.look(picture).flatten(2).transpose(1, 2)
        votes = self.vote(seen).unflatten(-1, (self.points, 3))
        offsets, weights = votes[..., :2], votes[..., 2:].softmax(dim=1)
        points = (weights * (self.cells[:, None] + offsets)).sum(1)
        pooled = torch.einsum("nch,ncw->nhw", self.attention(seen).softmax(dim=1), seen)
        return torch.cat([points.flatten(1), self.describe(pooled.flatten(1))], dim=-1)


class TokenDrawer(nn.Module):
    """Tokens [N, G * G * C] of codes [N, 2 P + R] and the agent's place [N, 2].

    Every token is drawn by itself, from how its cell lies to the points and to the agent,
    by an MLP that the rest of the code modulates (FiLM, Perez et al., 2018).
    """

    cells: Tensor

    def __init__(self, grid: int, channels: int, points: int, rest: int, width: int) -> None:
        super().__init__()
        self.points, self.width = points, width
        self.enter = nn.Linear(3 * (points + 1), width)
        self.modulate = nn.Sequential(
            nn.Linear(rest, width), nn.SiLU(), nn.Linear(width, 2 * width * LAYERS)
        )
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(LAYERS - 1))
        self.leave = nn.Linear(width, channels)
        self.register_buffer("cells", cell_centres(grid), persistent=False)

    def forward(self, code: Tensor, agent: Tensor) -> Tensor:
        """The tokens, cell by cell, row by row."""
        points, rest = code.tensor_split([2 * self.points], dim=-1)
        places = torch.cat([points, agent], dim=-1).reshape(len(code), -1, 2)
        offsets = self.cells[:, None] - places[:, None]
        nearness = torch.exp(-2 * offsets.square().sum(-1))
        hidden = self.enter(torch.cat([offsets.flatten(-2), nearness], dim=-1))
        films = self.modulate(rest)[:, None].unflatten(-1, (LAYERS, 2, self.width))
        for i in range(LAYERS):
            scale, shift = films[..., i, :, :].unbind(-2)
            hidden = nn.functional.silu(torch.addcmul(hidden + shift, hidden, scale))
            if i < LAYERS - 1:
                hidden = self.layers[i](hidden)
        return self.leave(hidden).flatten(1)  # type: ignore[no-any-return]


class RedrawPredictor(nn.Module):
    """F(z, a) for latents z = (tokens, proprioception): read, move, redraw.

        c = (read(tokens) - μ) / σ,  (c', p') = (c, p) + MLP(c, p, a),  tokens' = draw(σ c' + μ, p')

    Attributes:
        reader: a `TokenReader`.
        drawer: a `TokenDrawer`.
        dynamics: moves standardised codes and proprioception.
        code_mean, code_std: μ and σ, [code].
        coordinates, code_size: how many numbers of a code are points', and how many it has.
    """  # noqa: RUF002

    code_mean: Tensor
    code_std: Tensor

    def __init__(
        self,
        *,
        grid: int,
        channels: int,
        points: int,
        rest: int,
        proprio: int,
        action: int,
        token_width: int,
        width: int,
        blocks: int,
    ) -> None:
        super().__init__()
        self.coordinates, self.code_size = 2 * points, 2 * points + rest
        self._proprio = proprio
        self.reader = TokenReader(grid, channels, points, rest, token_width)
        self.drawer = TokenDrawer(grid, channels, points, rest, token_width)
        self.dynamics = ResidualPredictor(self.code_size + proprio, action, width, blocks)
        self.register_buffer("code_mean", torch.zeros(self.code_size))
        self.register_buffer("code_std", torch.ones(self.code_size))

    def read(self, state: Tensor) -> Tensor:
        """Standardised codes beside proprioception, [..., code + 4], of latents [..., D]."""
        tokens, proprio = state.tensor_split([state.shape[-1] - self._proprio], dim=-1)
        code = self.reader(tokens.reshape(-1, tokens.shape[-1]))
        standard = (code - self.code_mean) / self.code_std
        return torch.cat([standard.reshape(*state.shape[:-1], -1), proprio], dim=-1)

    def draw(self, summary: Tensor) -> Tensor:
        """Latents [..., D] of what `read` gives."""
        rows = summary.reshape(-1, summary.shape[-1])
        code, proprio = rows.tensor_split([self.code_size], dim=-1)
        tokens = self.drawer(code * self.code_std + self.code_mean, proprio[:, :2])
        return torch.cat([tokens, proprio], dim=-1).reshape(*summary.shape[:-1], -1)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """The next latent [..., D]."""
        return self.draw(self.dynamics(self.read(state), action))
