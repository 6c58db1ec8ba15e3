"""Loads world models: checkpoints, and models of other people's code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from grasp_bench.core.errors import UserError
from grasp_bench.core.plugins import file_sha256
from grasp_bench.core.types import View, WorldModel
from grasp_bench.models.checkpoint import (
    PLUGIN_MODELS,
    find_checkpoint,
    is_plugin,
    read_checkpoint,
)
from grasp_bench.models.prior import LatentPrior, load_prior

_PROTOCOL = (
    *WorldModel.__annotations__,
    *(name for name in vars(WorldModel) if not name.startswith("_")),
)


@dataclass(frozen=True)
class LoadedModel:
    """Holds a world model that is ready to plan with.

    Attributes:
        model: in evaluation mode, without parameter gradients.
        name: of the checkpoint or plugin; results carry it.
        sha256: of the weights.
        card: the checkpoint's JSON card.
        prior_sha256: of the action prior's weights, None if the model has no prior.
        source: what the user gave: a name, a path or a `file.py:make_model`.
        file_sha256: of the file that defines a plugin's factory, None for a checkpoint.
    """

    model: WorldModel
    name: str
    sha256: str
    card: dict[str, Any] = field(default_factory=dict)
    prior_sha256: str | None = None
    source: str = ""
    file_sha256: str | None = None


def load_model(name: str, device: str = "cpu") -> LoadedModel:
    """Loads a world model.

    Args:
        name: a checkpoint's name such as `pusht-compact`, a path to a `.safetensors` file, an
            installed plugin's name, or `file.py:make_model` or `module:make_model`. A plugin
            names a factory: a function of the device's name that returns a `LoadedModel` or
            a bare `WorldModel`.
        device: where the model lives, e.g. "cpu" or "cuda".

    Raises:
        UserError: there is no such model or device, a checkpoint is damaged, or a factory
            fails or returns something that is no world model.
    """
    where = find_device(device)
    if is_plugin(name):
        return _load_plugin(name, device)
    path = find_checkpoint(name)
    model, card = read_checkpoint(path)
    model.to(where)
    loaded = LoadedModel(model, path.stem, card["sha256"], card, source=name)
    found = load_prior(path, card["sha256"], where)
    if found is None:
        return loaded
    prior, prior_sha256 = found
    model.prior = LatentPrior(prior, model.summary)
    return replace(loaded, prior_sha256=prior_sha256)


def find_device(name: str) -> torch.device:
    """Returns the torch device of that name: the CPU or a CUDA device.

    Raises:
        UserError: there is no such device, or it is of a kind that the clock cannot drain.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"no device '{name}' here: {str(error).splitlines()[0]}") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device '{name}': only cpu and cuda are supported")
    return device


def _load_plugin(source: str, device: str) -> LoadedModel:
    factory = PLUGIN_MODELS.get(source)
    made = _call(factory, source, device)
    code = file_sha256(factory)
    if isinstance(made, LoadedModel):
        _check_protocol(made.model, source)
        return replace(made, source=source, file_sha256=code)
    _check_protocol(made, source)
    if isinstance(made, nn.Module):
        made.eval().requires_grad_(False)
    sha256 = _weights_sha256(made) or code
    if sha256 is None:
        raise UserError(
            f"world model '{source}' has neither weights nor a source file to be told apart by: "
            "let its factory return a LoadedModel with a sha256"
        )
    name = source.rpartition(":")[2]
    return LoadedModel(made, name, sha256, source=source, file_sha256=code)


def _call(factory: Callable[[str], Any], source: str, device: str) -> Any:
    if not callable(factory):
        raise UserError(
            f"world model '{source}' is {type(factory).__name__}, not a function of the device"
        )
    try:
        return factory(device)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        reason = (str(error).splitlines() or ["no message"])[0]
        raise UserError(
            f"world model '{source}': its factory raised {type(error).__name__}: {reason}"
        ) from error


def _check_protocol(model: Any, source: str) -> None:
    missing = [attribute for attribute in _PROTOCOL if not hasattr(model, attribute)]
    if missing:
        raise UserError(
            f"world model '{source}': its factory returned {type(model).__name__}, "
            f"which lacks {', '.join(missing)} of the protocol grasp_bench.core.types.WorldModel"
        )
    if not isinstance(model.frameskip, int) or model.frameskip < 1:
        raise UserError(f"world model '{source}': frameskip is {model.frameskip!r}, not 1 or more")
    if not isinstance(model.view, View):
        raise UserError(f"world model '{source}': view is {model.view!r}, not a View")


def _weights_sha256(model: object) -> str | None:
    """Returns the SHA-256 of a module's state, None for other objects and stateless modules."""
    if not isinstance(model, nn.Module):
        return None
    state = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    if not state:
        return None
    digest = hashlib.sha256()
    for name, value in state.items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
