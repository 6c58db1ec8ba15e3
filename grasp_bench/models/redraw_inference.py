"""Reads and draws tokens on a CPU with frozen weights; equal to `redraw` up to rounding.

Moving numbers takes a CPU longer here than multiplying them. So rows pass in pieces that fit
the cache, through buffers that are kept. One matrix product each does the convolution, the
votes with the attention, and the first modulation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from grasp_bench.models.inference_copy import transposed

if TYPE_CHECKING:
    from grasp_bench.models.redraw import TokenDrawer, TokenReader

PIECE = 32  # rows; their hidden numbers take a megabyte


def pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yields `PIECE` rows of every tensor at a time."""
    for start in range(0, len(tensors[0]), PIECE):
        yield tuple(tensor[start : start + PIECE] for tensor in tensors)


class InferenceReader:
    """Computes what a `TokenReader` of directions computes."""

    def __init__(self, reader: TokenReader) -> None:
        grid, _, channels = self._shape = reader.shape
        look: Any = reader.look
        self._bias = look[0].bias.detach()
        width = len(self._bias)
        self._kernel = look[0].weight.detach().permute(2, 3, 1, 0).reshape(-1, width).contiguous()
        self._second = transposed(look[2])
        votes, looks = transposed(reader.vote), transposed(reader.attention)
        self._scores = torch.cat([votes[0], looks[0]]), torch.cat([votes[1], looks[1]], dim=1)
        self._cells = reader.cells.t().contiguous()
        self._describe = transposed(reader.describe[0]), transposed(reader.describe[2])
        like = self._kernel
        self._padded = like.new_zeros(PIECE, grid + 2, grid + 2, channels)
        self._windows = like.new_empty(PIECE, grid, grid, 3, 3 * channels)
        self._hidden = like.new_empty(2, PIECE * grid * grid, width)

    def __call__(self, tokens: Tensor) -> Tensor:
        """Returns codes [N, 4] of tokens [N, G * G * C]."""
        codes = tokens.new_empty(len(tokens), 4)
        for piece, code in pieces(tokens, codes):
            self._read(piece, code)
        return codes

    def _read(self, tokens: Tensor, code: Tensor) -> None:
        rows, (grid, _, channels) = len(tokens), self._shape
        cells = grid * grid
        padded, windows = self._padded[:rows], self._windows[:rows]
        padded[:, 1:-1, 1:-1] = tokens.view(rows, *self._shape)
        down = (grid + 2) * channels
        # Three neighbouring cells of a row are contiguous in memory.
        windows.copy_(padded.as_strided(windows.shape, (padded.stride(0), down, channels, down, 1)))
        before, seen = self._hidden[:, : rows * cells]
        torch.addmm(self._bias, windows.view(rows * cells, -1), self._kernel, out=before)
        nn.functional.silu(before, inplace=True)
        bias, weight = self._second
        nn.functional.silu(torch.addmm(bias, before, weight, out=seen), inplace=True)
        bias, weight = self._scores
        scores = torch.addmm(bias, seen, weight).view(rows, cells, -1).transpose(1, 2).contiguous()
        shares = scores[:, 2:].softmax(dim=-1)
        code[:, :2] = (scores[:, :2].add_(self._cells).mul_(shares[:, :1])).sum(-1)
        pooled = torch.bmm(shares[:, 1:], seen.view(rows, cells, -1)).view(rows, -1)
        (bias, weight), (last_bias, last_weight) = self._describe
        described = nn.functional.silu(torch.addmm(bias, pooled, weight), inplace=True)
        rest = torch.addmm(last_bias, described, last_weight)
        code[:, 2:] = nn.functional.normalize(rest, dim=-1)


class InferenceDrawer:
    """Computes what a `TokenDrawer` of directions computes."""

    def __init__(self, drawer: TokenDrawer) -> None:
        self._cells = drawer.cells
        bias, weight = transposed(drawer.enter)
        self._enter = torch.cat([weight, bias[None]])  # its inputs end in a one
        self._modulate = [transposed(drawer.modulate[i]) for i in (0, 2, 4)]
        self._layers = [transposed(layer) for layer in drawer.layers]
        self._leave = transposed(drawer.leave)
        cells, width = len(self._cells), len(bias)
        self._inputs = weight.new_ones(PIECE, cells, len(self._enter))
        self._hidden = weight.new_empty(2, PIECE * cells, width)

    def __call__(self, code: Tensor, agent: Tensor) -> Tensor:
        """Returns tokens [N, G * G * C] of codes [N, 4] and the agent's places [N, 2]."""
        cells, channels = len(self._cells), len(self._leave[0])
        tokens = code.new_empty(len(code), cells, channels)
        for piece, place, drawn in pieces(code, agent, tokens):
            self._draw(piece, place, drawn.flatten(0, 1))
        return tokens.flatten(1)

    def _draw(self, code: Tensor, agent: Tensor, tokens: Tensor) -> None:
        rows, cells = len(code), len(self._cells)
        direction = nn.functional.normalize(code[:, 2:], dim=-1)
        inputs = self._cell_inputs(torch.stack([code[:, :2], agent], dim=1), direction)
        films = self._films(direction)
        scales, shifts = films[:, :, 0].add_(1), films[:, :, 1]
        enter = self._enter * scales[:, :1]
        enter[:, -1] += shifts[:, 0]
        hidden, other = self._hidden[:, : rows * cells]
        torch.bmm(inputs, enter, out=hidden.view(rows, cells, -1))
        nn.functional.silu(hidden, inplace=True)
        for i, (bias, weight) in enumerate(self._layers, start=1):
            after = torch.mm(hidden, weight, out=other).view(rows, cells, -1)
            shift = torch.addcmul(shifts[:, i], scales[:, i], bias)[:, None]
            torch.addcmul(shift, after, scales[:, i : i + 1], out=after)
            nn.functional.silu(after, inplace=True)
            hidden, other = other, hidden
        bias, weight = self._leave
        torch.addmm(bias, hidden, weight, out=tokens)

    def _cell_inputs(self, places: Tensor, direction: Tensor) -> Tensor:
        # Per cell: offsets to block and agent, nearness to each, the first offset in the
        # block's frame, and a one.
        inputs = self._inputs[: len(places)]
        offsets = inputs[:, :, :4].view(*inputs.shape[:2], 2, 2)
        torch.sub(self._cells[:, None], places[:, None], out=offsets)
        inputs[:, :, 4:6] = offsets.square().sum(-1).mul_(-2).exp_()
        cos, sin = direction[:, :1], direction[:, 1:]
        frame = torch.stack([direction, torch.cat([-sin, cos], dim=-1)], dim=-1)
        inputs[:, :, 6:8] = torch.bmm(offsets[:, :, 0], frame)
        return inputs

    def _films(self, direction: Tensor) -> Tensor:
        # Returns scales minus one and shifts of every layer, [N, L, 2, W].
        hidden = direction
        for i, (bias, weight) in enumerate(self._modulate):
            hidden = torch.addmm(bias, hidden, weight)
            if i < len(self._modulate) - 1:
                nn.functional.silu(hidden, inplace=True)
        return hidden.view(len(direction), len(self._layers) + 1, 2, -1)
