"""Takes a pretrained DINOv2 as the patch model's encoder; needs the extra `dinov2`."""

from __future__ import annotations

from typing import cast

from grasp_bench.core.errors import UserError
from grasp_bench.models.patch_encoder import DinoConfig, DinoEncoder, transformers


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

    Raises:
        UserError: there are no weights, or only in another format.
    """
    try:
        pretrained = transformers().Dinov2Model.from_pretrained(source, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise UserError(f"no DINOv2 weights at '{source}': {str(error).splitlines()[0]}") from error
    encoder.backbone.load_state_dict(pretrained.state_dict())
