"""A linear world model whose optimal plan has a closed form, and problems on it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from grasp_bench.core.types import Observation, Problem, View
from grasp_bench.models.latent import ENV_ACTION_DIM


class LinearModel:
    """Steps s' = A s + B a; a `WorldModel` to check planners against a known optimum.

    The distance of latents is the mean squared difference over their dimensions. A
    normalised action is `frameskip` environment actions, stacked as they are.
    """

    def __init__(
        self, transition: Tensor, control: Tensor, latent_shape: tuple[int, ...] | None = None
    ) -> None:
        """Takes A and B; gradients never reach either.

        Args:
            transition: A [Z, Z].
            control: B [Z, frameskip * 2].
            latent_shape: of Z numbers; (Z,) if None.

        Raises:
            ValueError: the shapes do not match.
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
        self.view = View(size=8)  # the model ignores pictures
        self.latent_shape = latent_shape or (size,)
        if math.prod(self.latent_shape) != size:
            raise ValueError(f"a latent of {self.latent_shape} does not hold {size} numbers")
        self.action_dim = control.shape[1]
        self.frameskip = self.action_dim // ENV_ACTION_DIM

    def encode(self, observation: Observation) -> Tensor:
        """Returns the proprioceptive state [B, 4] itself.

        Raises:
            ValueError: Z is not 4.
        """
        if self.latent_shape != (observation.proprio.shape[-1],):
            raise ValueError(
                f"a latent of {self.latent_shape[0]} dimensions cannot hold a proprioceptive "
                f"state of {observation.proprio.shape[-1]}"
            )
        return observation.proprio.to(self.transition)

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        """Returns A s + B a [..., *Z] of latents [..., *Z] and actions [..., frameskip * 2]."""
        following: Tensor = self._flat(state) @ self.transition.T + action @ self.control.T
        return following.reshape(*following.shape[:-1], *self.latent_shape)

    def distance(self, state: Tensor, goal: Tensor) -> Tensor:
        """Returns the mean squared difference [...] of latents [..., *Z]."""
        return self._flat((state - goal).square()).mean(dim=-1)

    def normalise_actions(self, actions: Tensor) -> Tensor:
        """Turns environment actions [..., T * frameskip, 2] into model actions [..., T, A]."""
        return actions.reshape(*actions.shape[:-2], -1, self.action_dim)

    def denormalise_actions(self, actions: Tensor) -> Tensor:
        """Turns model actions [..., T, A] into environment actions [..., T * frameskip, 2]."""
        return actions.reshape(*actions.shape[:-2], -1, ENV_ACTION_DIM)

    def optimum(self, start: Tensor, goal: Tensor, steps: int) -> Tensor:
        """Returns the smallest actions [B, T, A] that minimise the goal cost.

        s_T = A^T s_0 + Σ_t A^(T-1-t) B a_t is linear in the actions: a pseudo-inverse solves
        the least-squares problem.

        Args:
            start: [B, *Z].
            goal: [B, *Z].
            steps: T.
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


LATENT, CONTROLS, MOST_PROBLEMS = 4, 2, 8


def linear_problem(
    batch: int,
    steps: int,
    reachable: bool = True,
    kind: type[LinearModel] = LinearModel,
    latent_shape: tuple[int, ...] = (LATENT,),
    dtype: torch.dtype = torch.float64,
) -> Problem:
    """Returns a batch of planning problems with Z = 4 and A = 2; problem b is always the same.

    States shrink by a tenth a step, so that gradients neither vanish nor explode.

    Args:
        batch: B, at most 8.
        steps: T.
        reachable: whether goals are where standard normal reference actions lead. If not,
            they are standard normal latents.
        kind: the model's class.
        latent_shape: of four numbers.
        dtype: of all numbers.
    """
    generator = torch.Generator().manual_seed(7)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    rotation, _ = torch.linalg.qr(normal(LATENT, LATENT))
    control, _ = torch.linalg.qr(normal(LATENT, CONTROLS))
    model = kind(0.9 * rotation, control, latent_shape)
    start, goal = (
        normal(MOST_PROBLEMS, LATENT)[:batch].reshape(-1, *latent_shape) for _ in range(2)
    )
    reference = normal(MOST_PROBLEMS, steps, CONTROLS)[:batch]
    if reachable:
        goal = start
        for action in reference.unbind(dim=1):
            goal = model.step(goal, action)
    return Problem(model, start, goal, steps, reference)
