"""The network of a probe on tokens: it pools features from a grid of them by votes."""

from __future__ import annotations

from torch import Tensor, nn

from grasp_bench.models.layers import cell_centres, mlp


class PoolingHead(nn.Module):
    """Reads V features from the points that a grid of tokens votes for.

    One MLP, shared by all tokens, takes a token and its eight neighbours. It gives the token a
    weight and an offset for each of K points. A point is the weighted mean of place plus
    offset; the features are functions of the points.
    """

    places: Tensor

    def __init__(self, channels: int, cells: int, votes: int, width: int, features: int) -> None:
        """Takes C, G, K, the hidden width and V."""
        super().__init__()
        self.cells, self.votes = cells, votes
        self.each = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 1),
            nn.SiLU(),
            nn.Conv2d(width, 3 * votes, 1),
        )
        self.direct = nn.Linear(2 * votes, features)
        self.whole = mlp(2 * votes, width, width, features)
        self.register_buffer("places", cell_centres(cells)[:, None], persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns features [..., V] of tokens [..., G * G, C]."""
        grids = tokens.reshape(-1, self.cells, self.cells, tokens.shape[-1])
        cast = self.each(grids.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        cast = cast.reshape(*tokens.shape[:-1], self.votes, 3)
        weights = cast[..., :1].softmax(dim=-3)
        points = (weights * (self.places + cast[..., 1:])).sum(-3).flatten(-2) * 2
        features: Tensor = self.direct(points) + self.whole(points)
        return features
