"""Takes a pretrained DINOv2 as an encoder; needs the extra `models`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from grasp_bench.core.errors import UserError, describe
from grasp_bench.core.json_files import shown, typed
from grasp_bench.models.hub import unreachable
from grasp_bench.models.patch_encoder import DinoConfig, DinoEncoder, transformers

_PLACES = "embeddings.position_embeddings"
_MOST_LAYERS, _MOST_NUMBERS = 64, 1_300_000_000  # the largest has 40 and 1.1 billion
_OFFSET = 0.1  # of the original code's interpolation


def read_dino_config(source: str) -> DinoConfig:
    """Reads the architecture of the DINOv2 at `source`, a name on the hub or a folder.

    Raises:
        UserError: there is no DINOv2, or it is larger than any that is published.
    """
    with _refusing(f"no DINOv2 at '{source}'"):
        found = transformers().AutoConfig.from_pretrained(source, **_options(source))
        if found.model_type != "dinov2":
            raise UserError(f"'{source}' holds a {shown(found.model_type)}, not a DINOv2")
        sizes = ("hidden_size", "patch_size", "image_size", "num_hidden_layers")
        given = found.to_diff_dict() | {name: getattr(found, name) for name in sizes}
        config = typed(DinoConfig, given, "its config.json")
        if config["num_hidden_layers"] > _MOST_LAYERS:
            raise UserError(f"'{source}' has {shown(config['num_hidden_layers'])} layers")
        with torch.device("meta"):
            numbers = sum(value.numel() for value in DinoEncoder(config).parameters())
        if numbers > _MOST_NUMBERS:
            raise UserError(f"'{source}' has {numbers} numbers: {_MOST_NUMBERS} at most are read")
    return config


def load_dino_weights(encoder: DinoEncoder, source: str) -> None:
    """Loads DINOv2 weights into the encoder, from safetensors only; nothing is unpickled.

    The embedding of places is resized to the encoder's pictures once and for all.

    Raises:
        UserError: there are no weights, only in another format, or not all of them.
    """
    transformers().utils.logging.disable_progress_bar()
    transformers().utils.logging.set_verbosity_error()
    with _refusing(f"no DINOv2 weights at '{source}'"):
        pretrained, report = transformers().Dinov2Model.from_pretrained(
            source, use_safetensors=True, output_loading_info=True, **_options(source)
        )
        for what in ("missing_keys", "mismatched_keys"):
            if report.get(what):
                names = sorted(map(str, report[what]))
                raise UserError(f"'{source}' lacks {len(names)} of its tensors: {shown(names[0])}")
        weights = {name: value.float() for name, value in pretrained.state_dict().items()}
        for name, value in weights.items():
            if not bool(value.isfinite().all()):
                raise UserError(f"'{source}': {shown(name)} is not finite")
        wanted = encoder.backbone.state_dict()[_PLACES].shape
        weights[_PLACES] = resized_places(weights[_PLACES], wanted[1] - 1)
        encoder.backbone.load_state_dict(weights)


def _options(source: str) -> dict[str, Any]:
    """Returns how transformers reads a source: no code of it, and from the cache if offline."""
    is_there = Path(source).is_dir()
    return {
        "trust_remote_code": False,
        "local_files_only": is_there or unreachable() is not None,
    }


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of files of any content, and of the network
        raise UserError(f"{what}: {describe(error)}") from error


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
