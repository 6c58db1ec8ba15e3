"""Serial rollouts of a world model: the only loop over model time in the package."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from grasp_bench.types import WorldModel


def rollout(model: WorldModel, start: Tensor, actions: Tensor) -> Tensor:
    """The states s_1 .. s_T that follow `start` under `actions`, s_{t+1} = F(s_t, a_t).

    Args:
        model: the world model F.
        start: [B, *Z] states s_0.
        actions: [B, ..., T, A] normalised actions. The dimensions between B and T, such as
            the samples of a population, all begin at their problem's start.

    Returns:
        [B, ..., T, *Z].
    """
    latent_rank = len(model.latent_shape)
    return torch.stack(list(_successors(model, start, actions)), dim=-1 - latent_rank)


def last_state(model: WorldModel, start: Tensor, actions: Tensor) -> Tensor:
    """The state s_T [B, ..., *Z] alone, as `rollout` ends; holds one state at a time."""
    state = start
    for state in _successors(model, start, actions):  # noqa: B007
        pass
    return state


def guided_rollout(
    model: WorldModel, start: Tensor, steps: int, choose: Callable[[int, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Actions [..., T, A] chosen along the way, and the state s_T [..., *Z] they lead to.

    Args:
        model: the world model F.
        start: [..., *Z] states s_0.
        steps: T.
        choose: a_t [..., A] for t and s_t [..., *Z].
    """
    state, actions = start, []
    for t in range(steps):
        actions.append(choose(t, state))
        state = model.step(state, actions[-1])
    return torch.stack(actions, dim=-2), state


def spread(model: WorldModel, latent: Tensor, leading: torch.Size) -> Tensor:
    """Latents [B, *Z] repeated (as a view) over the leading dimensions [B, ...]."""
    latent_rank = len(model.latent_shape)
    batch = latent.shape[: latent.ndim - latent_rank]
    inserted = (1,) * (len(leading) - len(batch))
    return latent.reshape(*batch, *inserted, *model.latent_shape).expand(
        *leading, *model.latent_shape
    )


def _successors(model: WorldModel, start: Tensor, actions: Tensor) -> Iterator[Tensor]:
    state = spread(model, start, actions.shape[:-2])
    for action in actions.unbind(dim=-2):
        state = model.step(state, action)
        yield state
