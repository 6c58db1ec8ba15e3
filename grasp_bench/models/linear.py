"""A linear world model whose optimal plan is known in closed form, and problems on it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from grasp_bench.rollout import last_state
from grasp_bench.types import Observation, Problem

ENV_ACTION_DIM = 2


class LinearModel:
    """s' = A s + B a, a `WorldModel` for checking planners against a known optimum.

    The distance of latents is the mean squared difference over their dimensions, and
    normalised actions are the environment's own, `frameskip` of them stacked.
    """

    def __init__(
        self, transition: Tensor, control: Tensor, latent_shape: tuple[int, ...] | None = None
    ) -> None:
        """Takes A [Z, Z] and B [Z, frameskip * 2]; gradients never reach either.

        Latents are vectors, or tensors of a `latent_shape` of Z numbers.
        """
        size = transition.shape[0]
        if transition.shape != (size, size):
            raise ValueError(f"transition must be square, not {tuple(transition.shape)}")
        if control.shape[0] != size or control.shape[1] % ENV_ACTION_DIM:
            raise ValueError(
                f"control must be [{size}, frameskip * {ENV_ACTION_DIM}], "
                f"not {tuple(control.shape)}"
            )
        self.transition = transition.detach()
        self.control = control.detach()
        self.image_size = 8  # pictures are not looked at
        self.latent_shape = latent_shape or (size,)
        if math.prod(self.latent_shape) != size:
            raise ValueError(f"a latent of {self.latent_shape} does not hold {size} numbers")
        self.action_dim = control.shape[1]
        self.frameskip = self.action_dim // ENV_ACTION_DIM

    def encode(self, observation: Observation) -> Tensor:
        """The proprioceptive state [B, 4] itself, so Z must be 4."""
        if self.latent_shape != (observation.proprio.shape[-1],):
            raise ValueError(
                f"a latent of {self.latent_shape[0]} dimensions cannot hold a proprioceptive "
                f"state of {observation.proprio.shape[-1]}"
            )
        return observation.proprio.to(self.transition)

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        """A s + B a: [..., *Z] and [..., frameskip * 2] to [..., *Z]."""
        following: Tensor = self._flat(state) @ self.transition.T + action @ self.control.T
        return following.reshape(*following.shape[:-1], *self.latent_shape)

    def distance(self, state: Tensor, goal: Tensor) -> Tensor:
        """Mean squared difference [...] of latents [..., *Z]."""
        return self._flat((state - goal).square()).mean(dim=-1)

    def normalise_actions(self, actions: Tensor) -> Tensor:
        """Environment actions [..., T * frameskip, 2] to model actions [..., T, A]."""
        return actions.reshape(*actions.shape[:-2], -1, self.action_dim)

    def denormalise_actions(self, actions: Tensor) -> Tensor:
        """Model actions [..., T, A] to environment actions [..., T * frameskip, 2]."""
        return actions.reshape(*actions.shape[:-2], -1, ENV_ACTION_DIM)

    def optimum(self, start: Tensor, goal: Tensor, steps: int) -> Tensor:
        """The smallest actions [B, T, A] that minimise the goal cost of starts [B, *Z].

        s_T = A^T s_0 + Σ_t A^(T-1-t) B a_t is linear in the actions, so they are the
        pseudo-inverse solution of a least-squares problem.
        """
        power = torch.eye(len(self.transition)).to(self.transition)
        effects: list[Tensor] = []
        for _ in range(steps):
            effects.insert(0, power @ self.control)
            power = power @ self.transition
        unforced = self._flat(start) @ power.T
        solution: Tensor = (self._flat(goal) - unforced) @ torch.linalg.pinv(
            torch.cat(effects, dim=1)
        ).T
        return solution.reshape(-1, steps, self.action_dim)

    def _flat(self, state: Tensor) -> Tensor:
        return state.flatten(start_dim=state.ndim - len(self.latent_shape))


LATENT, CONTROLS, MOST = 4, 2, 8


def linear_problem(
    batch: int,
    steps: int,
    reachable: bool = True,
    kind: type[LinearModel] = LinearModel,
    latent_shape: tuple[int, ...] = (LATENT,),
    dtype: torch.dtype = torch.float64,
) -> Problem:
    """Up to 8 problems of four latents and two action dimensions, the same in every batch.

    Goals are where standard normal reference actions lead, or anywhere when they need not be
    reachable. States shrink by a tenth a step, so gradients neither vanish nor explode.
    """
    generator = torch.Generator().manual_seed(7)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    rotation, _ = torch.linalg.qr(normal(LATENT, LATENT))
    control, _ = torch.linalg.qr(normal(LATENT, CONTROLS))
    model = kind(0.9 * rotation, control, latent_shape)
    start, elsewhere = (normal(MOST, LATENT)[:batch].reshape(-1, *latent_shape) for _ in range(2))
    reference = normal(MOST, steps, CONTROLS)[:batch]
    goal = last_state(model, start, reference) if reachable else elsewhere
    return Problem(model, start, goal, steps, reference)
