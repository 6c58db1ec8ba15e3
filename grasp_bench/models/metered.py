"""A world model that counts its own work, a cost that no hardware changes."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from grasp_bench.types import Observation, WorldModel


class MeteredModel:
    """A `WorldModel` that counts the rows another one evaluates.

    A row is one transition (s, a): a `step` call of leading dimensions [B, T] has B * T.

    Attributes:
        rows_forward: transitions evaluated.
        rows_backward: transitions whose output a gradient flowed back through.
    """

    def __init__(self, model: WorldModel) -> None:
        self._model = model
        self.frameskip = model.frameskip
        self.action_dim = model.action_dim
        self.image_size = model.image_size
        self.latent_shape = model.latent_shape
        self.rows_forward = 0
        self.rows_backward = 0

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        """The wrapped model's step, counted."""
        output = self._model.step(state, action)
        rows = math.prod(output.shape[: output.ndim - len(self.latent_shape)])
        self.rows_forward += rows
        if output.requires_grad:

            def count_backward(_: Tensor) -> None:
                self.rows_backward += rows

            output.register_hook(count_backward)  # type: ignore[no-untyped-call]
        return output

    def encode(self, observation: Observation) -> Tensor:
        """The wrapped model's latents."""
        return self._model.encode(observation)

    def distance(self, state: Tensor, goal: Tensor) -> Tensor:
        """The wrapped model's distance."""
        return self._model.distance(state, goal)

    def normalise_actions(self, actions: Tensor) -> Tensor:
        """The wrapped model's normalisation."""
        return self._model.normalise_actions(actions)

    def denormalise_actions(self, actions: Tensor) -> Tensor:
        """The wrapped model's normalisation, undone."""
        return self._model.denormalise_actions(actions)

    def __getattr__(self, name: str) -> Any:
        """Whatever else the wrapped model offers, such as `decode`."""
        if name == "_model":  # not set yet, as while unpickling
            raise AttributeError(name)
        return getattr(self._model, name)
