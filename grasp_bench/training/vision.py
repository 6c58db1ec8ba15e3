"""Stage 1 of the patch model: masked prediction of pictures, without labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from grasp_bench.models.encoder import as_input
from grasp_bench.models.vision import CELL, PatchDecoder, PatchEncoder
from grasp_bench.training.loop import LossFunction


@dataclass(frozen=True)
class MaskedPrediction:
    """The self-supervised objective of the patch encoder.

    Attributes:
        largest_share: of cells that are blanked; each batch draws its share uniformly from
            nothing to this, so that whole pictures are familiar too.
        foreground: how much more a pixel weighs that is not background.
    """

    largest_share: float = 0.6
    foreground: float = 9.0


class Autoencoder(nn.Module):
    """The encoder and the decoder that are pretrained together."""

    def __init__(self, encoder: PatchEncoder, decoder: PatchDecoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder


def masked_prediction_loss(
    autoencoder: Autoencoder, pixels: Tensor, batch: int, objective: MaskedPrediction
) -> LossFunction:
    """Squared error of the whole picture drawn from the tokens of a partly blanked one.

    Args:
        autoencoder: what learns.
        pixels: [N, S, S, 3] uint8 frames to draw batches from.
        batch: frames a step.
        objective: how much is blanked and what counts.
    """
    device = next(autoencoder.parameters()).device
    cells = pixels.shape[1] // CELL

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = torch.randint(len(pixels), (batch,), generator=generator)
        picture = as_input(pixels[rows].to(device))
        share = float(torch.rand((), generator=generator)) * objective.largest_share
        blanked = (torch.rand(batch, 1, cells, cells, generator=generator) < share).float()
        tokens = autoencoder.encoder(picture, blanked.to(device))
        error = (autoencoder.decoder(tokens) - picture).square()
        foreground = (picture.amax(1, keepdim=True) > 0.04).float()
        weighted = (1 + objective.foreground * foreground) * error
        return weighted.mean(), {"blanked": round(share, 2)}

    return loss
