"""Counts a world model's work, a cost that no hardware changes."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from grasp_bench.core.types import WorldModel
from grasp_bench.trial.promises import BrokenPromiseError


class MeteredModel:
    """Wraps a `WorldModel` and counts the transitions (s, a) that it evaluates.

    A `step` call of leading dimensions [B, T] evaluates B * T. Those of its `rough` form count too.

    Attributes:
        model_evals_forward: transitions evaluated.
        model_evals_backward: transitions whose output a gradient flowed back through.
    """

    def __init__(self, model: WorldModel, counter: MeteredModel | None = None) -> None:
        """Takes a model and, for a rough form, the meter of the model whose form it is."""
        self._model, self._counter = model, counter or self
        rough = getattr(model, "rough", None)
        self.rough = None if rough is None else MeteredModel(rough, self)
        self.frameskip = model.frameskip
        self.action_dim = model.action_dim
        self.view = model.view
        self.latent_shape = model.latent_shape
        self.encode, self.distance = model.encode, model.distance
        self.normalise_actions = model.normalise_actions
        self.denormalise_actions = model.denormalise_actions
        self.model_evals_forward = 0
        self.model_evals_backward = 0

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        """Takes the wrapped model's step and counts it.

        Raises:
            BrokenPromiseError: the model returns something of another shape than it should.
        """
        after = self._model.step(state, action)
        if (found := getattr(after, "shape", None)) != state.shape:
            expected = f"{tuple(state.shape)}, the shape of the states it was given"
            found = type(after).__name__ if found is None else tuple(found)
            raise BrokenPromiseError(f"the world model's `step` returns {found}, not {expected}")
        return self._counted(after)

    def step_in_context(self, states: Tensor, actions: Tensor) -> Tensor:
        """Takes a step of several frames, which counts as one transition, and counts it."""
        model: Any = self._model
        return self._counted(model.step_in_context(states, actions))

    def _counted(self, output: Tensor) -> Tensor:
        rows = math.prod(output.shape[: output.ndim - len(self.latent_shape)])
        self._counter.model_evals_forward += rows
        if output.requires_grad:

            def count_backward(_: Tensor) -> None:
                self._counter.model_evals_backward += rows

            output.register_hook(count_backward)  # type: ignore[no-untyped-call]
        return output

    def __getattr__(self, name: str) -> Any:
        """Gives whatever else the wrapped model offers, such as `decode`."""
        if name == "_model":  # not set yet, as while unpickling
            raise AttributeError(name)
        return getattr(self._model, name)
