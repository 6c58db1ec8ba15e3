"""Recovers the orientation with diffusion maps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_NEIGHBOURS = 24  # of each landmark in the graph, and of each code among the landmarks
_CHUNK = 4_000


def directions(codes: Tensor, landmarks: int, seed: int) -> tuple[Tensor, Tensor]:
    """Returns a direction for every code, up to a common rotation or reflection.

    Codes of a rigid block in all orientations lie along a closed, bent curve. Diffusion maps
    (Coifman and Lafon, 2006) lay the curve out as a circle: its coordinates are the first two
    eigenvectors that are not constant of the random walk between neighbouring landmarks.
    α = 1 removes the influence of how often an orientation occurs. Other codes take the mean
    of their nearest landmarks. The angles are then spread evenly, because the data holds all
    orientations equally often.

    Args:
        codes: [N, R].
        landmarks: random codes that the diffusion map is computed of.
        seed: of the choice of landmarks.

    Returns:
        Unit vectors [N, 2], and how sure each is [N]: the length of the vector before it was
        normalised over the median length. It is small where the neighbours disagree.
    """  # noqa: RUF002
    generator = torch.Generator().manual_seed(seed)
    chosen = codes[torch.randperm(len(codes), generator=generator)[:landmarks]]
    circle = _diffusion_map(chosen)
    parts = []
    for part in torch.split(codes, _CHUNK):
        distance, nearest = torch.cdist(part, chosen).topk(
            min(_NEIGHBOURS, len(chosen)), largest=False
        )
        weight = torch.exp(-((distance / (distance[:, -1:] + 1e-9)) ** 2))
        parts.append((weight[..., None] * circle[nearest]).sum(1) / weight.sum(1, keepdim=True))
    vectors = torch.cat(parts)
    lengths = vectors.norm(dim=-1)
    return _spread_evenly(vectors), lengths / lengths.median()


def _spread_evenly(vectors: Tensor) -> Tensor:
    # Returns unit vectors [N, 2] in the order of the angles of `vectors`, equally far apart.
    ranks = torch.atan2(vectors[:, 1], vectors[:, 0]).argsort(stable=True).argsort()
    angles = ranks * (2 * torch.pi / len(ranks))
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


def _diffusion_map(points: Tensor) -> Tensor:
    """Returns the first two coordinates [L, 2] of points [L, R]."""
    from scipy import sparse
    from scipy.sparse.linalg import eigsh

    count, near = len(points), min(_NEIGHBOURS, len(points) - 2)
    found = [
        torch.cdist(part, points).topk(near + 1, largest=False)
        for part in torch.split(points, _CHUNK)
    ]
    distance = torch.cat([part.values[:, 1:] for part in found])
    neighbour = torch.cat([part.indices[:, 1:] for part in found])
    scale = distance[:, near // 2] + 1e-9
    weight = torch.exp(-(distance**2) / (scale[:, None] * scale[neighbour]))
    rows = np.repeat(np.arange(count), near)
    graph = sparse.csr_matrix(
        (weight.flatten().double().numpy(), (rows, neighbour.flatten().numpy())), (count, count)
    )
    # Only where each is near the other: one-sided neighbours are shortcuts across the curve.
    graph = graph.minimum(graph.T) + sparse.identity(count) * 1e-6
    inverse_density = sparse.diags(1 / np.asarray(graph.sum(1)).ravel())
    graph = inverse_density @ graph @ inverse_density
    degree = np.asarray(graph.sum(1)).ravel()
    half = sparse.diags(degree**-0.5)
    start = np.ones(count)  # else eigsh draws one, and two calls differ
    values, vectors = eigsh(half @ graph @ half, k=3, which="LA", v0=start)
    order = np.argsort(-values)
    coordinates = vectors[:, order[1:]] / vectors[:, order[:1]]
    return torch.from_numpy(np.ascontiguousarray(coordinates)).float()
