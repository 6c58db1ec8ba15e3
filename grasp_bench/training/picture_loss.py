"""The first stage of models on tokens: pictures drawn from tokens, without labels."""

from __future__ import annotations

import torch
from torch import Tensor

from grasp_bench.models.layers import as_input
from grasp_bench.models.patch_encoder import PatchDecoder, PatchEncoder
from grasp_bench.training.loop import LossFunction

# Each batch blanks a share of cells between zero and this, so that the encoder also sees
# whole pictures.
_LARGEST_SHARE = 0.6
_FOREGROUND = 9.0  # additional weight of a pixel that is not background


def picture_loss(
    encoder: PatchEncoder, decoder: PatchDecoder, pixels: Tensor, batch: int
) -> LossFunction:
    """Returns the squared error of whole pictures drawn from the tokens of partly blanked ones.

    Encoder and decoder learn together, by masked prediction.

    Args:
        encoder: pictures to tokens.
        decoder: tokens to pictures.
        pixels: [N, S, S, 3] uint8 frames to draw batches from.
        batch: frames a step.
    """
    device = next(decoder.parameters()).device

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = torch.randint(len(pixels), (batch,), generator=generator)
        picture = as_input(pixels[rows].to(device))
        cells = picture.shape[-1] // encoder.cell
        share = float(torch.rand((), generator=generator)) * _LARGEST_SHARE
        blanked = (torch.rand(batch, 1, cells, cells, generator=generator) < share).float()
        error = (decoder(encoder(picture, blanked.to(device))) - picture).square()
        foreground = (picture.amax(1, keepdim=True) > 0.04).float()
        return ((1 + _FOREGROUND * foreground) * error).mean(), {"blanked": round(share, 2)}

    return loss
