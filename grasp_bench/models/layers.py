"""Pieces that several networks are built of."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


class Linear(nn.Linear):
    """Is a linear layer that computes in the type of its weights, whatever its input's."""

    def forward(self, rows: Tensor) -> Tensor:
        """Maps rows [..., I] to [..., O]."""
        return super().forward(rows.to(self.weight.dtype))


def round_to_bfloat16(network: nn.Module) -> None:
    """Rounds the `Linear` layers of a network to bfloat16, in which they compute from now on.

    Norms and the sums along shortcuts stay in float32, and so do the rows.
    """
    for module in network.modules():
        if isinstance(module, Linear):
            module.to(torch.bfloat16)


def mlp(*widths: int) -> nn.Sequential:
    """Builds linear layers between the given widths, with SiLU in between."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def halving_stem(inputs: int, first: int, width: int) -> nn.Sequential:
    """Builds three convolutions that halve a picture's size each."""
    return nn.Sequential(
        nn.Conv2d(inputs, first, 5, stride=2, padding=2),
        nn.GELU(),
        nn.Conv2d(first, 48, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(48, width, 3, stride=2, padding=1),
        nn.GELU(),
    )


def cell_centres(cells: int) -> Tensor:
    """Returns where the cells of a grid lie, [cells * cells, 2] (x, y), row by row.

    The grid spans [-1, 1] in each direction.
    """
    centres = (torch.arange(cells) + 0.5) * (2 / cells) - 1
    rows, columns = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([columns, rows], dim=-1).reshape(-1, 2)


def as_input(pixels: Tensor) -> Tensor:
    """Turns pictures [B, S, S, 3] uint8 into network input [B, 3, S, S]; white becomes zero."""
    picture = (255.0 - pixels.permute(0, 3, 1, 2).float()) * (2.0 / 255.0)
    return picture.contiguous(memory_format=torch.channels_last)
