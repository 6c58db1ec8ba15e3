"""Stage 1 of the patch model: masked prediction of pictures, without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grasp_bench.errors import UserError
from grasp_bench.models.encoder import as_input
from grasp_bench.models.vision import CELL, DinoEncoder, PatchDecoder, PatchEncoder, transformers
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


def reconstruction_loss(
    encoder: nn.Module, decoder: PatchDecoder, pixels: Tensor, batch: int
) -> LossFunction:
    """Squared error of pictures [N, S, S, 3] uint8 drawn from a frozen encoder's tokens."""
    device = next(decoder.parameters()).device

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = torch.randint(len(pixels), (batch,), generator=generator)
        picture = as_input(pixels[rows].to(device))
        with torch.no_grad():
            tokens = encoder(picture)
        return (decoder(tokens) - picture).square().mean(), {}

    return loss


def read_dino_config(source: str) -> dict[str, Any]:
    """The architecture of the DINOv2 at `source`, a name on the hub or a folder.

    Raises:
        UserError: there is none.
    """
    try:
        config = transformers().AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise UserError(f"no DINOv2 at '{source}': {str(error).splitlines()[0]}") from error
    if config.model_type != "dinov2":
        raise UserError(f"'{source}' holds a {config.model_type}, not a DINOv2")
    return dict(config.to_diff_dict()) | {
        name: getattr(config, name)
        for name in ("hidden_size", "patch_size", "image_size", "num_hidden_layers")
    }


def load_dino_weights(encoder: DinoEncoder, source: str) -> None:
    """Load DINOv2 weights into the encoder; from safetensors only, nothing is unpickled.

    Raises:
        UserError: none there, or only in another format.
    """
    try:
        pretrained = transformers().Dinov2Model.from_pretrained(source, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise UserError(f"no DINOv2 weights at '{source}': {str(error).splitlines()[0]}") from error
    encoder.backbone.load_state_dict(pretrained.state_dict())
