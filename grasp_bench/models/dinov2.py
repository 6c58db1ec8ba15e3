"""Takes a pretrained DINOv2 as an encoder; needs the extra `models`."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from grasp_bench.core.errors import UserError
from grasp_bench.models.patch_encoder import DinoConfig, DinoEncoder, transformers

_PLACES = "embeddings.position_embeddings"
_OFFSET = 0.1  # of the original code's interpolation


def read_dino_config(source: str) -> DinoConfig:
    """Reads the architecture of the DINOv2 at `source`, a name on the hub or a folder.

    Raises:
        UserError: there is no DINOv2.
    """
    try:
        config = transformers().AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise UserError(f"no DINOv2 at '{source}': {str(error).splitlines()[0]}") from error
    if config.model_type != "dinov2":
        raise UserError(f"'{source}' holds a {config.model_type}, not a DINOv2")
    sizes = ("hidden_size", "patch_size", "image_size", "num_hidden_layers")
    return cast(DinoConfig, config.to_diff_dict() | {name: getattr(config, name) for name in sizes})


def load_dino_weights(encoder: DinoEncoder, source: str) -> None:
    """Loads DINOv2 weights into the encoder, from safetensors only; nothing is unpickled.

    The embedding of places is resized to the encoder's pictures once and for all.

    Raises:
        UserError: there are no weights, or only in another format.
    """
    transformers().utils.logging.disable_progress_bar()
    try:
        pretrained = transformers().Dinov2Model.from_pretrained(source, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise UserError(f"no DINOv2 weights at '{source}': {str(error).splitlines()[0]}") from error
    weights = pretrained.state_dict()
    wanted = encoder.backbone.state_dict()[_PLACES].shape
    weights[_PLACES] = resized_places(weights[_PLACES], wanted[1] - 1)
    encoder.backbone.load_state_dict(weights)


def resized_places(places: Tensor, tokens: int) -> Tensor:
    """Resizes an embedding of places [1, 1 + G * G, W] to a square grid of `tokens`.

    As the original code (facebookresearch/dinov2) does it for its first models: bicubic, for a
    grid that is a tenth of a token larger. The transformers library resizes without that tenth.
    """
    old, new = math.isqrt(places.shape[1] - 1), math.isqrt(tokens)
    if old == new:
        return places
    grid = places[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    scale = (new + _OFFSET) / old
    grid = nn.functional.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([places[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)
