"""Loads world models: checkpoints, and models of other people's code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from grasp_bench.core.errors import UserError
from grasp_bench.core.json_files import shown
from grasp_bench.core.plugins import file_sha256, foreign_code
from grasp_bench.core.types import View, WorldModel
from grasp_bench.models.certificate import check_certificate
from grasp_bench.models.checkpoint import (
    FOREIGN,
    PLUGIN_MODELS,
    find_checkpoint,
    is_plugin,
    read_checkpoint,
)
from grasp_bench.models.foreign_latents import load_foreign
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.prior import LatentPrior, load_prior, prior_path
from grasp_bench.models.probe import load_probe
from grasp_bench.models.variants import apply_variants, split_variants

_METHODS = tuple(name for name in vars(WorldModel) if not name.startswith("_"))


@dataclass(frozen=True)
class LoadedModel:
    """Holds a world model that is ready to plan with.

    Attributes:
        model: in evaluation mode, without parameter gradients.
        name: of the checkpoint or plugin; results carry it.
        sha256: of the weights.
        card: the checkpoint's JSON card.
        prior_sha256: of the action prior's weights, None if the model has no prior.
        probe_sha256: of the probe's weights, None if the model has no stored probe.
        source: what the user gave: a name, a path or a `file.py:make_model`.
        file_sha256: of the file that defines a plugin's factory, None for a checkpoint.
    """

    model: WorldModel
    name: str
    sha256: str
    card: dict[str, Any] = field(default_factory=dict)
    prior_sha256: str | None = None
    probe_sha256: str | None = None
    source: str = ""
    file_sha256: str | None = None

    @cached_property
    def _bits(self) -> tuple[int, ...]:
        return _sums_of_bits(self.model)

    def is_unchanged(self) -> bool:
        """Tells whether the weights are what they were when this was first asked."""
        return self._bits == _sums_of_bits(self.model)


def load_model(name: str, device: str = "cpu") -> LoadedModel:
    """Loads a world model.

    Args:
        name: a checkpoint's name such as `pusht-compact`, a path to a `.safetensors` file, an
            installed plugin's name, `swm:` and what stable-worldmodel loads, or
            `file.py:make_model` or `module:make_model`. A plugin names a factory: a function of
            the device's name that returns a `LoadedModel` or a bare `WorldModel`. Behind the
            name, `@bfloat16` has the predictor compute in that type, `@bfloat16-samples` has it
            compute so only where planners choose among many plans, `@int8-samples` the same in
            integers of 8 bits, `@checkpointing` has gradients take less memory and more time, and
            `@one-frame` shows a model with a context no more than the last frame.
        device: where the model lives, e.g. "cpu" or "cuda".

    Raises:
        UserError: there is no such model or device, a checkpoint is damaged, or a factory
            fails or returns something that is no world model.
    """
    where = find_device(device)
    base, variants = split_variants(name)
    if variants:
        return _varied(load_model(base, device), variants, name)
    if name.startswith(FOREIGN):
        foreign = load_foreign(name.removeprefix(FOREIGN), device)
        return LoadedModel(foreign, name, _weights_sha256(foreign) or "", source=name)
    if is_plugin(name):
        return _load_plugin(name, device)
    path = find_checkpoint(name)
    model, card = read_checkpoint(path)
    model.to(where)
    if certificate := card.get("certificate"):
        check_certificate(model, certificate, path.stem)
    loaded = LoadedModel(model, path.stem, card["sha256"], card, source=name)
    if (probe := load_probe(path, card["sha256"], model)) is not None:
        model.probe, probe_sha256 = probe
        loaded = replace(loaded, probe_sha256=probe_sha256)
    found = load_prior(path, card["sha256"], where)
    if found is None:
        return loaded
    prior, prior_sha256 = found
    if not isinstance(model, LatentWorldModel):
        raise UserError(f"'{path.stem}' is of a kind that takes no action prior")
    (latent,) = model.latent_shape
    if (prior.config.latent, prior.config.action) != (latent, model.action_dim):
        raise UserError(
            f"the action prior {prior_path(path)} reads {prior.config.latent} numbers and gives "
            f"{prior.config.action}: for this model it must be {latent} and {model.action_dim}"
        )
    model.prior = LatentPrior(prior)
    return replace(loaded, prior_sha256=prior_sha256)


def _varied(loaded: LoadedModel, variants: list[str], source: str) -> LoadedModel:
    """Returns the model as its variants have it; rounded weights are other weights."""
    apply_variants(loaded.model, variants, loaded.name)
    named = "@".join([loaded.name, *variants])
    rounded = _weights_sha256(loaded.model) if "bfloat16" in variants else None
    return replace(loaded, name=named, sha256=rounded or loaded.sha256, source=source)


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
    factory, label = PLUGIN_MODELS.get(source), f"world model '{source}'"
    if not callable(factory):
        raise UserError(f"{label} is {type(factory).__name__}, not a function of the device")
    with foreign_code(f"{label}: its factory raised"):
        made = factory(device)
    with foreign_code(f"{label}: what its factory returned raised"):
        code = file_sha256(factory)
        named = isinstance(made, LoadedModel)
        if broken := _broken_promise(made.model if named else made):
            raise UserError(f"{label}: its factory returned {broken}")
        if not named:
            made = _named(made, source.rpartition(":")[2], code)
        if broken := _wrong_field(made):
            raise UserError(f"{label}: its factory returned a LoadedModel with {broken}")
        facts = (
            made.model, made.name, made.sha256, made.card, made.prior_sha256, made.probe_sha256,
        )  # fmt: skip
    return LoadedModel(*facts, source=source, file_sha256=code)


def _named(model: WorldModel, name: str, code: str | None) -> LoadedModel:
    if isinstance(model, nn.Module):
        model.eval().requires_grad_(False)
    return LoadedModel(model, name, _weights_sha256(model) or code or "")


def _wrong_field(made: Any) -> str | None:
    """Says which field of a LoadedModel has another type, None if none has."""
    if not _is_text(made.name):
        return f"the name {shown(made.name)}, not printable text"
    if not _is_text(made.sha256):
        return f"the sha256 {shown(made.sha256)}: without one, its weights cannot be told apart"
    if not isinstance(made.card, dict):
        return f"the card {shown(made.card)}, not a dict"
    for name in ("prior_sha256", "probe_sha256"):
        value = getattr(made, name)
        if value is not None and not _is_text(value):
            return f"the {name} {shown(value)}, not printable text"
    return None


def _broken_promise(model: Any) -> str | None:
    """Says what of `WorldModel` a model lacks or has of another type, None if nothing."""
    called = type(model).__name__
    missing = [name for name in WorldModel.__annotations__ if not hasattr(model, name)]
    missing += [name for name in _METHODS if not callable(getattr(model, name, None))]
    if missing:
        protocol = "the protocol grasp_bench.core.types.WorldModel"
        return f"{called}, which lacks {', '.join(missing)} of {protocol}"
    frameskip, width = model.frameskip, model.action_dim
    shape, view = model.latent_shape, model.view
    prior, probe = getattr(model, "prior", None), getattr(model, "probe", None)
    if not _is_size(frameskip):
        return f"{called}, whose frameskip is {shown(frameskip)}, not 1 or more"
    if not _is_size(width) or width % frameskip:
        return f"{called}, whose action_dim is {shown(width)}, not a multiple of its frameskip"
    if not (isinstance(shape, tuple) and shape and all(map(_is_size, shape))):
        return f"{called}, whose latent_shape is {shown(shape)}, not a tuple of sizes"
    if not (isinstance(view, View) and _is_size(view.size) and _is_text(view.style)):
        return f"{called}, whose view is {shown(view)}, not a View"
    if prior is not None and not (type(prior.draws) is int and callable(prior.sample)):
        return f"{called}, whose prior is {shown(prior)}, not an ActionPrior"
    if probe is not None and not callable(getattr(probe, "read", None)):
        return f"{called}, whose probe is {shown(probe)}, not a StateProbe"
    rough = getattr(model, "rough", None)
    if rough is None:
        return None
    if getattr(rough, "rough", None) is not None:
        return f"{called}, whose rough form has one of its own"
    if broken := _broken_promise(rough):
        return f"{called}, whose rough form is {broken}"
    if (rough.latent_shape, rough.action_dim) != (shape, width):
        return f"{called}, whose rough form has other latents or actions"
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and value != ""


def _is_size(value: object) -> bool:
    return type(value) is int and value >= 1


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


def _sums_of_bits(model: WorldModel) -> tuple[int, ...]:
    """Returns a number per tensor of a model that hardly any change leaves as it was."""
    held: Iterable[object] = getattr(model, "__dict__", {}).values()
    if isinstance(model, nn.Module):
        held = chain(model.parameters(), model.buffers())
    return tuple(
        int(value.detach().contiguous().flatten().view(torch.uint8).sum(dtype=torch.int64))
        for value in held
        if isinstance(value, Tensor)
    )
