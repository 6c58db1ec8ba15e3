"""A linear world model whose optimal plan is known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from grasp_bench.types import Observation

ENV_ACTION_DIM = 2


class LinearModel:
    """s' = A s + B a, a `WorldModel` for checking planners against a known optimum.

    Latents are vectors, their distance is the mean squared difference over dimensions, and
    normalised actions are the environment's own, `frameskip` of them stacked.
    """

    def __init__(self, transition: Tensor, control: Tensor) -> None:
        """Takes A [Z, Z] and B [Z, frameskip * 2]; gradients never reach either."""
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
        self.latent_shape: tuple[int, ...] = (size,)
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
        """A s + B a: [..., Z] and [..., frameskip * 2] to [..., Z]."""
        unforced: Tensor = state @ self.transition.T
        return unforced + action @ self.control.T

    def distance(self, state: Tensor, goal: Tensor) -> Tensor:
        """Mean squared difference [...] of latents [..., Z]."""
        return (state - goal).square().mean(dim=-1)

    def normalise_actions(self, actions: Tensor) -> Tensor:
        """Environment actions [..., T * frameskip, 2] to model actions [..., T, A]."""
        return actions.reshape(*actions.shape[:-2], -1, self.action_dim)

    def denormalise_actions(self, actions: Tensor) -> Tensor:
        """Model actions [..., T, A] to environment actions [..., T * frameskip, 2]."""
        return actions.reshape(*actions.shape[:-2], -1, ENV_ACTION_DIM)

    def optimum(self, start: Tensor, goal: Tensor, steps: int) -> Tensor:
        """The smallest actions [B, T, A] that minimise the goal cost of starts [B, Z].

        s_T = A^T s_0 + Σ_t A^(T-1-t) B a_t is linear in the actions, so they are the
        pseudo-inverse solution of a least-squares problem.
        """
        power = torch.eye(self.latent_shape[0]).to(self.transition)
        effects: list[Tensor] = []
        for _ in range(steps):
            effects.insert(0, power @ self.control)
            power = power @ self.transition
        unforced = start @ power.T
        solution: Tensor = (goal - unforced) @ torch.linalg.pinv(torch.cat(effects, dim=1)).T
        return solution.reshape(-1, steps, self.action_dim)
