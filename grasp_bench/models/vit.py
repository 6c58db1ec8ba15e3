"""A vision transformer (Dosovitskiy et al., arXiv 2010.11929), of which the class token is read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

_EPSILON = 1e-12  # of the norms, as in the transformers library


@dataclass(frozen=True)
class ViTConfig:
    """Holds the sizes of a `ViT`; the defaults are the tiny one's on 14 px patches.

    Attributes:
        width: of a token.
        depth, heads, hidden: of the blocks.
        image_size, patch_size: px.
    """

    width: int = 192
    depth: int = 12
    heads: int = 3
    hidden: int = 768
    image_size: int = 224
    patch_size: int = 14

    def __post_init__(self) -> None:
        if self.width % self.heads or self.image_size % self.patch_size:
            raise ValueError("heads do not divide the width, or patches the picture")


class ViT(nn.Module):
    """Encodes a picture as tokens of its patches and a class token."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        tokens = (config.image_size // config.patch_size) ** 2
        self.patches = nn.Conv2d(3, config.width, config.patch_size, config.patch_size)
        self.first = nn.Parameter(torch.zeros(config.width))
        self.place = nn.Parameter(0.02 * torch.randn(1 + tokens, config.width))
        self.blocks = nn.ModuleList(
            ViTBlock(config.width, config.heads, config.hidden) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=_EPSILON)

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns the class tokens [B, W] of standardised pictures [B, 3, S, S]."""
        tokens = self.patches(pictures).flatten(2).transpose(1, 2)
        rows = torch.cat([self.first.expand(len(tokens), 1, -1), tokens], dim=1) + self.place
        for block in self.blocks:
            rows = block(rows)
        read: Tensor = self.norm(rows[:, 0])
        return read


class ViTBlock(nn.Module):
    """Attends and then thinks, the norm first, each beside a shortcut."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_mlp = (nn.LayerNorm(width, eps=_EPSILON) for _ in range(2))
        self.query, self.key, self.value, self.write = (nn.Linear(width, width) for _ in range(4))
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, rows: Tensor) -> Tensor:
        """Maps [B, N, W] to [B, N, W]."""
        seen = self.norm(rows)
        parts = (
            read(seen).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for read in (self.query, self.key, self.value)
        )
        found = scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        rows = rows + self.write(found)
        thought: Tensor = rows + self.mlp(self.norm_mlp(rows))
        return thought
