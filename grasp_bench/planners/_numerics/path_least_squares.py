"""Linearises a path's dynamics, end and limits as least squares (see `LatCoGN`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import Problem, WorldModel
from grasp_bench.planners._numerics.block_cholesky import solve
from grasp_bench.planners.objective import goal_distance

MODEL_ROWS = 256  # of one call for Jacobians; buffers of 1024 are mapped anew at every call


@dataclass(frozen=True)
class PathLeastSquares:
    """Holds residuals of a path and their Jacobians, in double precision; n numbers to a latent.

    Attributes:
        defect: [B, T, n] F(s_t, a_t) - s_{t+1}.
        miss: [B, k, n] s - g of the last k states, those that count.
        excess: [B, T, A] how far each entry of an action is beyond its limits, signed.
        by_state: [B, T, n, n] ∂F/∂s_t.
        by_action: [B, T, n, A] ∂F/∂a_t.
        weights: w [n] of the metric.
        goal_weights: [n] those of each of the last states' distance to the goal.
    """

    defect: Tensor
    miss: Tensor
    excess: Tensor
    by_state: Tensor
    by_action: Tensor
    weights: Tensor
    goal_weights: Tensor

    def violations(self) -> Tensor:
        """Returns v_t and u_t, [2, B, T]."""
        dynamics = (self.weights * self.defect.square()).sum(dim=-1)
        return torch.stack([dynamics, self.excess.square().mean(dim=-1)])

    def step(self, multipliers: Tensor, damping: float) -> tuple[Tensor, Tensor]:
        """Returns the damped Gauss-Newton step of actions [B, T, A] and states [B, T, n].

        Multipliers [2, B, T] are λ and κ.
        """
        diagonal, lower = self._normal_matrix(multipliers, damping)
        change = solve(diagonal, lower, -self._gradient(multipliers))
        solved = change.isfinite().all(dim=(1, 2), keepdim=True)
        taken, width = torch.where(solved, change, 0.0), self.excess.shape[-1]
        return taken[..., :width], taken[..., width:]

    def _normal_matrix(self, multipliers: Tensor, damping: float) -> tuple[Tensor, Tensor]:
        """Returns JᵀJ + μ D: blocks (t, t) [B, T, M, M] and (t + 1, t), one fewer; M = A + n."""
        dynamics = multipliers[0, ..., None] * self.weights  # λ_t w
        limits = multipliers[1, ..., None] / self.excess.shape[-1] * (self.excess != 0)
        weighted_by_action = dynamics[..., None] * self.by_action
        weighted_by_state = dynamics[..., None] * self.by_state
        of_state = dynamics + damping * self.weights
        of_state[:, -self.miss.shape[1] :] += self.goal_weights
        among_actions = self.by_action.mT @ weighted_by_action
        among_actions += torch.diag_embed(limits + damping * self.weights.mean())
        among_states = torch.diag_embed(of_state)
        among_states[:, :-1] += (self.by_state.mT @ weighted_by_state)[:, 1:]
        diagonal = _blocks(among_actions, -weighted_by_action.mT, -weighted_by_action, among_states)
        with_before = weighted_by_action.mT @ self.by_state
        lower = _blocks(
            torch.zeros_like(among_actions),
            with_before,
            torch.zeros_like(self.by_action),
            -weighted_by_state,
        )
        return diagonal, lower[:, 1:]

    def _gradient(self, multipliers: Tensor) -> Tensor:
        """Returns Jᵀr [B, T, M]."""
        pull = multipliers[0, ..., None] * self.weights * self.defect
        by_state = -pull
        by_state[:, :-1] += (pull[:, 1:, None] @ self.by_state[:, 1:])[..., 0, :]
        by_state[:, -self.miss.shape[1] :] += self.goal_weights * self.miss
        by_action = (pull[:, :, None] @ self.by_action)[..., 0, :]
        by_action += multipliers[1, ..., None] / self.excess.shape[-1] * self.excess
        return torch.cat([by_action, by_state], dim=-1)


def linearised(
    problem: Problem,
    states: Tensor,
    actions: Tensor,
    weights: tuple[Tensor, Tensor],
    action_limit: float,
) -> PathLeastSquares:
    """Linearises the problem around states s_1 .. s_T [B, T, *Z] and actions [B, T, A].

    For the weights see `metric_weights`.
    """
    origins = torch.cat([problem.start[:, None], states[:, :-1]], dim=1)
    reached, by_state, by_action = jacobians(problem.model, origins, actions)
    flat = states.flatten(start_dim=2)
    ends = flat[:, -problem.objective.goal_steps :]
    return PathLeastSquares(
        defect=(reached - flat).double(),
        miss=(ends - problem.goal.flatten(start_dim=1)[:, None]).double(),
        excess=(actions - actions.clamp(-action_limit, action_limit)).double(),
        by_state=by_state.double(),
        by_action=by_action.double(),
        weights=weights[0].double(),
        goal_weights=weights[1].double() / ends.shape[1],
    )


def jacobians(model: WorldModel, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns F [B, T, n], ∂F/∂s [B, T, n, n] and ∂F/∂a [B, T, n, A], latents flat.

    Copy i of every transition is differentiated at its i-th output, all copies in one call,
    or in a few where there are many: `WorldModel.step` takes any leading dimensions.
    """
    outputs = math.prod(model.latent_shape)
    copies = max(1, MODEL_ROWS // math.prod(actions.shape[:2]))
    parts: list[tuple[Tensor, Tensor]] = []
    for first in range(0, outputs, copies):
        count = min(copies, outputs - first)
        inputs = [x.expand(count, *x.shape).clone().requires_grad_() for x in (states, actions)]
        with torch.enable_grad():
            reached = model.step(*inputs).flatten(start_dim=3)
            chosen = reached[..., first : first + count].diagonal(dim1=0, dim2=-1)
            by_state, by_action = torch.autograd.grad(chosen.sum(), inputs)
        parts.append((by_state.flatten(start_dim=3), by_action))
    by_state, by_action = (torch.cat(part).movedim(0, 2) for part in zip(*parts, strict=True))
    return reached[0].detach(), by_state, by_action


def metric_weights(problem: Problem) -> tuple[Tensor, Tensor]:
    """Returns the w [n] with Σ_i w_i (s_i - g_i)² the model's distance and the goal distance.

    Raises:
        UserError: the model's distance is of another kind.
    """
    distance = partial(goal_distance, problem)
    return _weights(problem, problem.model.distance), _weights(problem, distance)


def _weights(problem: Problem, distance: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    shape, size = problem.model.latent_shape, math.prod(problem.model.latent_shape)
    units = torch.eye(size).to(problem.start)
    ramp = torch.arange(1, size + 1).to(problem.start) / size
    with torch.no_grad():
        origins = torch.cat([units, ramp[None]]).reshape(size + 1, *shape)
        *_, measured = lengths = distance(origins, torch.zeros_like(origins))
    weights = lengths[:-1]
    if not torch.allclose(measured, (weights * ramp.square()).sum(), rtol=1e-3):
        raise UserError(
            "latco-gn needs a world model whose distance is a weighted sum of squared "
            "differences: use 'latco', which needs no Jacobians"
        )
    return weights


def _blocks(upper_left: Tensor, upper: Tensor, left: Tensor, rest: Tensor) -> Tensor:
    top, bottom = torch.cat([upper_left, upper], dim=-1), torch.cat([left, rest], dim=-1)
    return torch.cat([top, bottom], dim=-2)
