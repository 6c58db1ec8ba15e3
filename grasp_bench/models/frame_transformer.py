"""A transformer over frames of tokens, each frame blind to later ones: DINO-WM's predictor."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from grasp_bench.core.types import ActivationBytes
from grasp_bench.models.layers import Linear

FLOAT32_BYTES = 4


class Blocks(nn.ModuleList):
    """Passes rows through transformer blocks; their arithmetic and memory may be chosen.

    Attributes:
        checkpointing: for a gradient, blocks are computed anew instead of kept. The gradient is
            the same and takes half as long again.
    """

    checkpointing = False

    def forward(self, rows: Tensor, *beside: Tensor | None) -> Tensor:
        """Maps [R, N, W] to [R, N, W]; every block is also given what stands beside the rows."""
        for block in self:
            if self.checkpointing and torch.is_grad_enabled():
                # In evaluation nothing is drawn, so there is no generator to set back.
                rows = checkpoint(
                    block, rows, *beside, use_reentrant=False, preserve_rng_state=False
                )
            else:
                rows = block(rows, *beside)
        return rows

    def activation_bytes(self, tokens: int) -> ActivationBytes:
        """Returns what `tokens` tokens take on their way through the blocks and a last norm."""
        block = cast(Block, self[0])
        kept, passing = block.bytes_per_token()
        row = FLOAT32_BYTES * block.width
        passing += 4 * row  # the frames as remembered, stacked, joined with actions, given places
        if self.checkpointing:
            held, redone = (len(self) + 1) * row, kept
        else:
            held, redone = len(self) * kept + row, 0
        # A gradient stands beside every activation.
        return ActivationBytes(tokens * held, tokens * passing, 2 * tokens * (passing + redone))


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
        self.blocks = Blocks(Block(width, heads, head_width, hidden, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        frame = torch.arange(frames * tokens) // tokens
        self.register_buffer("mask", frame[:, None] >= frame, persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Returns what follows frames [R, n, P, W], of the same shape."""
        rows = frames.flatten(1, 2)
        count = rows.shape[1]
        mask = None if count == self.tokens else self.mask[:count, :count]
        following: Tensor = self.norm(self.blocks(rows + self.place[:count], mask))
        return following.view(frames.shape)


class Block(nn.Module):
    """Attends and then thinks, each beside a shortcut."""

    def __init__(
        self, width: int, heads: int, head_width: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.width, self.inside, self.hidden = width, heads * head_width, hidden
        self.attention = Attention(width, heads, head_width, dropout)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            Linear(hidden, width),
            nn.Dropout(dropout),
        )

    def forward(self, rows: Tensor, mask: Tensor | None) -> Tensor:
        """Maps [R, N, W] to [R, N, W]; `mask` [N, N] says who attends to whom."""
        rows = rows + self.attention(rows, mask)
        thought: Tensor = rows + self.mlp(rows)
        return thought

    def bytes_per_token(self) -> tuple[int, int]:
        """Returns what a token takes until its gradient is taken, and in passing.

        Kept are the inputs of both norms, queries, keys, values and what was found, and what
        the MLP's nonlinearity was given; frozen linear layers keep nothing.
        """
        own, rows = self.attention.read.weight.itemsize, 2 * FLOAT32_BYTES * self.width
        kept = rows + own * (4 * self.inside + self.hidden)
        return kept, rows + own * max(6 * self.inside, 2 * self.hidden)


class Attention(nn.Module):
    """Attends with several heads, whose width need not divide that of the tokens."""

    def __init__(self, width: int, heads: int, head_width: int, dropout: float) -> None:
        super().__init__()
        if min(heads, head_width) < 1:
            raise ValueError(f"{heads} heads of width {head_width} attend to nothing")
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(width)
        self.read = Linear(width, 3 * heads * head_width, bias=False)
        self.write = nn.Sequential(Linear(heads * head_width, width), nn.Dropout(dropout))

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
