"""A predictor over a grid of tokens: read the block's pose, move it, draw the tokens anew.

A predictor that changes every token by itself draws, wherever it is unsure, the mean of what
may happen, and its own smear is what it sees next. Here whatever is drawn is a scene with
one block in one pose.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from grasp_bench.models.planning_form import PlanningForm
from grasp_bench.models.redraw_planning import PlanningDrawer, PlanningReader
from grasp_bench.models.residual import ResidualPredictor

# Half of what the picture spans, in units of standardised positions of the agent.
REACH = 2.5
HEADS, LAYERS = 8, 3  # of attention in the reader; of the drawing network
DIRECTION = 2  # numbers of a code that are a unit vector; as many free ones are not told from it
POSE_SIZE = 2 + DIRECTION  # a place and a direction


def cell_centres(grid: int) -> Tensor:
    """Where the cells of a grid lie, [G * G, 2] (x, y), row by row."""
    centres = ((torch.arange(grid) + 0.5) * (2 / grid) - 1) * REACH
    rows, columns = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([columns, rows], dim=-1).reshape(-1, 2)


class TokenReader(nn.Module):
    """Tokens [N, G * G * C], cell by cell, to codes [N, 2 + R].

    A code begins with a place: where the tokens, each from its own cell, vote that it lies. The
    other R numbers are an MLP of features that heads of attention pool from all tokens; two
    of them are a direction and brought to unit length.
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
            nn.Linear(HEADS * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, rest)
        )
        self.register_buffer("cells", cell_centres(grid), persistent=False)
        self._planning = PlanningForm(PlanningReader)

    def forward(self, tokens: Tensor) -> Tensor:
        """The codes."""
        if self.rest == DIRECTION and _is_fixed(tokens) and (form := self._planning.of(self)):
            return form(tokens)
        picture = tokens.reshape(-1, *self.shape).permute(0, 3, 1, 2)
        seen = self.look(picture).flatten(2).transpose(1, 2)
        offsets, votes = self.vote(seen).tensor_split([2], dim=-1)
        place = (votes.softmax(dim=1) * (self.cells + offsets)).sum(1)
        pooled = torch.einsum("nch,ncw->nhw", self.attention(seen).softmax(dim=1), seen)
        rest = self.describe(pooled.flatten(1))
        if self.rest == DIRECTION:
            rest = nn.functional.normalize(rest, dim=-1)
        return torch.cat([place, rest], dim=-1)


class TokenDrawer(nn.Module):
    """Tokens [N, G * G * C] of codes [N, 2 + R] and the agent's place [N, 2].

    Every token is drawn by itself, from how its cell lies to the code's place and to the agent,
    by an MLP that the rest of the code modulates (FiLM, Perez et al., 2018). If that is a
    direction, tokens also hear where they lie in a frame that turns with it.
    """

    cells: Tensor

    def __init__(self, grid: int, channels: int, rest: int, width: int) -> None:
        super().__init__()
        self.rest, self.width = rest, width
        self.enter = nn.Linear(8 if rest == DIRECTION else 6, width)
        self.modulate = nn.Sequential(
            nn.Linear(rest, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, 2 * width * LAYERS),
        )
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(LAYERS - 1))
        self.leave = nn.Linear(width, channels)
        self.register_buffer("cells", cell_centres(grid), persistent=False)
        self._planning = PlanningForm(PlanningDrawer)

    def forward(self, code: Tensor, agent: Tensor) -> Tensor:
        """The tokens, cell by cell, row by row."""
        if self.rest == DIRECTION and _is_fixed(code, agent) and (form := self._planning.of(self)):
            return form(code, agent)
        place, rest = code.tensor_split([2], dim=-1)
        if self.rest == DIRECTION:
            rest = nn.functional.normalize(rest, dim=-1)
        offset, to_agent = self.cells - place[:, None], self.cells - agent[:, None]
        near = [torch.exp(-2 * x.square().sum(-1, keepdim=True)) for x in (offset, to_agent)]
        heard = [offset, to_agent, *near]
        if self.rest == DIRECTION:
            heard.append(turned_back(offset, rest[:, None]))
        hidden = self.enter(torch.cat(heard, dim=-1))
        films = self.modulate(rest).reshape(-1, 1, LAYERS, 2, self.width)
        for i in range(LAYERS):
            scale, shift = films[:, :, i].unbind(2)
            hidden = nn.functional.silu(torch.addcmul(hidden, hidden, scale) + shift)
            if i < LAYERS - 1:
                hidden = self.layers[i](hidden)
        tokens: Tensor = self.leave(hidden)
        return tokens.flatten(1)


def _is_fixed(*inputs: Tensor) -> bool:
    # Whether nothing is differentiated with respect to inputs on a CPU.
    differentiated = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    return not differentiated and inputs[0].device.type == "cpu"


def turned_back(offsets: Tensor, direction: Tensor) -> Tensor:
    """Offsets [..., 2] in the frame whose first axis is the unit vector `direction` [..., 2]."""
    (x, y), (cos, sin) = offsets.unbind(-1), direction.unbind(-1)
    return torch.stack([x * cos + y * sin, y * cos - x * sin], dim=-1)


class RedrawPredictor(nn.Module):
    """F(z, a) for latents z = (tokens, proprioception p): read, move, redraw.

        c = (read(tokens) - μ) / σ,  (c', p') = (c, p) + MLP(c, p, a),  tokens' = draw(σ c' + μ, p')

    Attributes:
        reader: a `TokenReader` of poses.
        drawer: a `TokenDrawer` of them.
        dynamics: moves standardised poses and proprioception.
        pose_mean, pose_std: μ and σ, [4].
    """  # noqa: RUF002

    pose_mean: Tensor
    pose_std: Tensor

    def __init__(
        self,
        *,
        grid: int,
        channels: int,
        proprio: int,
        action: int,
        token_width: int,
        width: int,
        blocks: int,
    ) -> None:
        super().__init__()
        self._proprio = proprio
        self.reader = TokenReader(grid, channels, DIRECTION, token_width)
        self.drawer = TokenDrawer(grid, channels, DIRECTION, token_width)
        self.dynamics = ResidualPredictor(POSE_SIZE + proprio, action, width, blocks)
        self.register_buffer("pose_mean", torch.zeros(POSE_SIZE))
        self.register_buffer("pose_std", torch.ones(POSE_SIZE))
        self._latest: list[tuple[Tensor, tuple[object, ...], Tensor]] = []

    def read(self, state: Tensor) -> Tensor:
        """Standardised poses beside proprioception, [..., 4 + P], of latents [..., D].

        What was read of the two latest is kept: a prior asks for its goal at every step, and
        for the state that is moved next.
        """
        if torch.is_grad_enabled():
            return self._read(state)
        owner = state if state._base is None else state._base
        # Versions are counted up whenever somebody writes to the state or to the weights.
        versions = state._version, self.reader.vote.weight._version
        view = (state.data_ptr(), state.shape, state.stride(), versions)
        found = [entry for entry in self._latest if entry[0] is owner and entry[1] == view]
        entry = found[0] if found else (owner, view, self._read(state))
        self._latest = [entry, *(other for other in self._latest if other is not entry)][:2]
        return entry[2]

    def _read(self, state: Tensor) -> Tensor:
        tokens, proprio = state.tensor_split([state.shape[-1] - self._proprio], dim=-1)
        pose = self.reader(tokens.reshape(-1, tokens.shape[-1]))
        standard = (pose - self.pose_mean) / self.pose_std
        return torch.cat([standard.reshape(*state.shape[:-1], -1), proprio], dim=-1)

    def draw(self, summary: Tensor) -> Tensor:
        """Latents [..., D] of what `read` gives."""
        rows = summary.reshape(-1, summary.shape[-1])
        pose, proprio = rows.tensor_split([POSE_SIZE], dim=-1)
        tokens = self.drawer(pose * self.pose_std + self.pose_mean, proprio[:, :2])
        return torch.cat([tokens, proprio], dim=-1).reshape(*summary.shape[:-1], -1)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """The next latent [..., D]."""
        return self.draw(self.dynamics(self.read(state), action))
