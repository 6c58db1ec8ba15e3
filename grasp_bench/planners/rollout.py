"""Rolls out a world model serially: the only loop over model time in the package."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from grasp_bench.core.types import WorldModel


def rollout(model: WorldModel, start: Tensor, actions: Tensor) -> Tensor:
    """Returns the states s_1 .. s_T that follow `start` under `actions`, s_{t+1} = F(s_t, a_t).

    A model with a context of k frames is shown the last k, of which there is one at first.

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


def last_states(model: WorldModel, start: Tensor, actions: Tensor, count: int) -> list[Tensor]:
    """Returns the last states [B, ..., *Z] of a `rollout`; holds no more of them at a time."""
    return list(deque(_successors(model, start, actions), maxlen=count))


def guided_rollout(
    model: WorldModel,
    actions: Tensor,
    states: Tensor,
    leaves: Sequence[int],
    choose: Callable[[int, Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Rolls out plans that follow given ones up to a moment, and choose from there on.

    What they follow is not rolled out again.

    Args:
        model: the world model F.
        actions: [B, N, T, A] to follow.
        states: [B, N, T, *Z] s_0 .. s_{T-1}, where those are taken.
        leaves: for each of the N plans, the first step that it chooses itself; ascending.
        choose: a_t [B, n, A] for t and the states s_t [B, n, *Z] of the n plans that have left.

    Returns:
        actions [B, N, T, A], states [B, N, T, *Z] and the states s_T [B, N, *Z] they lead to.
    """
    actions, states, memory = actions.clone(), states.clone(), context_of(model)
    state = states[:, :0, 0]
    for t in range(actions.shape[-2]):
        before, left = state.shape[1], bisect_right(leaves, t)
        state = torch.cat([state, states[:, before:left, t]], dim=1)
        chosen = choose(t, state)
        states[:, :left, t], actions[:, :left, t] = state, chosen
        seen = slice(max(0, t + 1 - memory), t + 1)
        if seen.stop - seen.start == 1:
            state = model.step(state, chosen)
        else:
            state = in_context(model, states[:, :left, seen], actions[:, :left, seen])
    return actions, states, state


def spread(model: WorldModel, latent: Tensor, leading: torch.Size) -> Tensor:
    """Repeats latents [B, *Z] (as a view) over the leading dimensions [B, ...]."""
    latent_rank = len(model.latent_shape)
    batch = latent.shape[: latent.ndim - latent_rank]
    inserted = (1,) * (len(leading) - len(batch))
    return latent.reshape(*batch, *inserted, *model.latent_shape).expand(
        *leading, *model.latent_shape
    )


def _successors(model: WorldModel, start: Tensor, actions: Tensor) -> Iterator[Tensor]:
    state = spread(model, start, actions.shape[:-2])
    rank, seen = len(model.latent_shape), deque[Tensor](maxlen=context_of(model))
    for t, action in enumerate(actions.unbind(dim=-2)):
        seen.append(state)
        if len(seen) == 1:
            state = model.step(state, action)
        else:
            taken = actions[..., t + 1 - len(seen) : t + 1, :]
            state = in_context(model, torch.stack(list(seen), dim=-1 - rank), taken)
        yield state


def context_of(model: WorldModel) -> int:
    """Returns how many frames the model remembers; 1 is a Markov model."""
    return int(getattr(model, "context", 1))


def in_context(model: WorldModel, states: Tensor, actions: Tensor) -> Tensor:
    """Returns the state [..., *Z] after states [..., n, *Z] and their actions [..., n, A]."""
    following: Tensor = cast(Any, model).step_in_context(states, actions)
    return following
