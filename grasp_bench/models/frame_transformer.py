"""A transformer over frames of tokens, each frame blind to later ones: DINO-WM's predictor."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class FrameTransformer(nn.Module):
    """Predicts, for each of n frames of P tokens, the tokens of the frame after it.

    Blocks of attention and an MLP with the norm first, as in a ViT, with a learned embedding of
    place and time. A token attends to all tokens of its own frame and of earlier ones
    (DINO-WM, arXiv 2411.04983, section 3.2).
    """

    mask: Tensor

    def __init__(
        self,
        tokens: int,
        frames: int,
        width: int,
        depth: int,
        heads: int,
        head_width: int,
        hidden: int,
        dropout: float = 0.0,
    ) -> None:
        """Takes P, the most frames, and the sizes; dropout is of training alone."""
        super().__init__()
        self.tokens = tokens
        self.place = nn.Parameter(0.02 * torch.randn(frames * tokens, width))
        self.blocks = nn.ModuleList(
            Block(width, heads, head_width, hidden, dropout) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        frame = torch.arange(frames * tokens) // tokens
        self.register_buffer("mask", frame[:, None] >= frame, persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Returns what follows frames [R, n, P, W], of the same shape."""
        rows = frames.flatten(1, 2)
        count = rows.shape[1]
        mask = None if count == self.tokens else self.mask[:count, :count]
        rows = rows + self.place[:count]
        for block in self.blocks:
            rows = block(rows, mask)
        following: Tensor = self.norm(rows)
        return following.view(frames.shape)


class Block(nn.Module):
    """Attends and then thinks, each beside a shortcut."""

    def __init__(
        self, width: int, heads: int, head_width: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.attention = Attention(width, heads, head_width, dropout)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
            nn.Dropout(dropout),
        )

    def forward(self, rows: Tensor, mask: Tensor | None) -> Tensor:
        """Maps [R, N, W] to [R, N, W]; `mask` [N, N] says who attends to whom."""
        rows = rows + self.attention(rows, mask)
        thought: Tensor = rows + self.mlp(rows)
        return thought


class Attention(nn.Module):
    """Attends with several heads, whose width need not divide that of the tokens."""

    def __init__(self, width: int, heads: int, head_width: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.write = nn.Sequential(nn.Linear(heads * head_width, width), nn.Dropout(dropout))

    def forward(self, rows: Tensor, mask: Tensor | None, causal: bool = False) -> Tensor:
        """Maps [R, N, W] to [R, N, W]; `causal` stands for a mask of no later row."""
        queries, keys, values = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.read(self.norm(rows)).chunk(3, dim=-1)
        )
        dropout = self.dropout if self.training else 0.0
        found = scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, dropout_p=dropout, is_causal=causal
        )
        written: Tensor = self.write(found.transpose(1, 2).flatten(2))
        return written
