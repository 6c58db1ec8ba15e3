"""Measures the smallest change of a state for which the model predicts the goal.

GRASP (arXiv 2602.00475) stops the gradient of its state inputs because an optimiser finds
adversarial states: s' = s - ε ∇_s ‖F(s, 0) - g‖² hardly differs from s, yet the model predicts
that doing nothing in s' leads to the goal g. This file measures how far away such states are.
Starts and goals are at rest, so that in the simulator doing nothing keeps them: F(s, 0) = s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grasp_bench.core.types import FloatArray, WorldModel
from grasp_bench.diagnostics.encoding import encode_states, latent_norm, rounded
from grasp_bench.diagnostics.held_out_tasks import HeldOutTasks
from grasp_bench.envs.pusht.criteria import ANGLE_TOLERANCE, POSITION_TOLERANCE
from grasp_bench.tasks.demonstrations import Demonstrations

_STEPS = 300
_RANDOM_INITS = 2
_BOUNDARY_STATES = 16
_ONE_STEP_FRAMES = 500
# Lengths of the single gradient step, in units of ‖g - s‖.
GRADIENT_LENGTHS = tuple(np.geomspace(0.01, 2.0, 24))
_BISECTIONS = 16
_RATE = 0.1  # of Adam, in units of ‖g - s‖ per coordinate
_LAST = 0.01  # of that, in the last step
_WEIGHT_FACTOR = 1.1  # by which λ rises or falls
_TINY = 1e-12  # keeps lengths above zero, where the norm has no gradient


class LandingProblem:
    """Defines the search for δ with ‖F(s + δ, 0) - g‖² <= τ, for K tasks at once.

    A displacement δ that fulfils this lands.
    """

    def __init__(self, model: WorldModel, start: Tensor, goal: Tensor, threshold: Tensor) -> None:
        """Takes starts and goals [K, *Z] and thresholds τ [K]."""
        self.model, self.start, self.goal, self.threshold = model, start, goal, threshold
        zero = torch.zeros(model.frameskip, 2).to(start)
        self._action = model.normalise_actions(zero)[0]

    def cost(self, delta: Tensor) -> Tensor:
        """Returns the goal costs [..., K] of displacements [..., K, *Z]."""
        successor = self.successor(delta)
        return self.model.distance(successor, self.goal.expand_as(successor))

    def successor(self, delta: Tensor) -> Tensor:
        """Returns F(s + δ, 0) [..., K, *Z] of displacements [..., K, *Z]."""
        state = self.start + delta
        leading = state.shape[: state.ndim - len(self.model.latent_shape)]
        return self.model.step(state, self._action.expand(*leading, -1))

    def gradient(self) -> tuple[Tensor, Tensor]:
        """Returns the costs [K] of no displacement and their gradients [K, *Z], of length one."""
        with torch.enable_grad():
            variable = torch.zeros_like(self.start).requires_grad_()
            cost = self.cost(variable)
            (gradient,) = torch.autograd.grad(cost.sum(), variable)
        return cost.detach(), self.scaled(gradient, torch.ones_like(cost.detach()))

    def scaled(self, delta: Tensor, length: Tensor) -> Tensor:
        """Scales displacements [..., K, *Z] to Euclidean lengths [..., K]."""
        norm = latent_norm(self.model, delta).clamp(min=_TINY)
        return delta * self.widen(length / norm)

    def widen(self, values: Tensor) -> Tensor:
        """Appends dimensions of size one to numbers [..., K], as many as a latent has."""
        return values.reshape(*values.shape, *(1,) * len(self.model.latent_shape))


@dataclass(frozen=True)
class Brittleness:
    """Holds what was measured on K tasks.

    Attributes:
        problem: the tasks, at rest, and their thresholds.
        delta: [K, *Z] the smallest displacements that land; zero where none was found.
        random: [K, *Z] displacements of the same lengths in random directions.
        ratio: [K] ‖δ‖ over the length that a model with F(s, 0) = s needs; NaN where nothing
            landed. 0 is fully brittle; at 1 the state must really move to the goal.
        relative: [K] ‖δ‖ / ‖g - s‖.
        in_steps: [K] ‖δ‖ in units of the latent's median change in one model step.
        random_cost: [K] goal cost of F(s + random, 0) in units of F(s, 0)'s.
        random_landed: share of random displacements that land.
        gradient_cost: [K, L] goal cost after one gradient step of each length, likewise.
        gradient_landed: [K] whether some length lands.
    """

    problem: LandingProblem
    delta: Tensor
    random: Tensor
    ratio: FloatArray
    relative: FloatArray
    in_steps: FloatArray
    random_cost: FloatArray
    random_landed: float
    gradient_cost: FloatArray
    gradient_landed: FloatArray

    def to_json(self) -> dict[str, Any]:
        """Returns medians over the tasks, and quartiles of the ratio, as plain data."""
        landed = np.isfinite(self.ratio)
        best = self.gradient_cost.argmin(axis=1)
        figures = {"landed": landed.mean()}
        if landed.any():
            figures |= {
                "ratio_median": np.median(self.ratio[landed]),
                "ratio_lower_quartile": np.quantile(self.ratio[landed], 0.25),
                "ratio_upper_quartile": np.quantile(self.ratio[landed], 0.75),
                "relative_median": np.median(self.relative[landed]),
                "one_step_changes_median": np.median(self.in_steps[landed]),
                "random_cost_median": np.median(self.random_cost[landed]),
                "random_landed": self.random_landed,
            }
        figures |= {
            "gradient_step_cost_median": np.median(self.gradient_cost.min(axis=1)),
            "gradient_step_length_median": np.median(np.array(GRADIENT_LENGTHS)[best]),
            "gradient_step_landed": self.gradient_landed.mean(),
        }
        return {"tasks": len(self.ratio), **rounded(figures)}


def smallest_displacements(
    problem: LandingProblem, steps: int = _STEPS, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Searches for the smallest Euclidean ‖δ‖ that lands.

    Adam minimises ‖δ‖ / ‖g - s‖ + λ max(0, log(cost / τ)). Each λ falls while its δ lands and
    rises while it does not. The descent starts at δ = 0, at δ = g - s and in random
    directions. Bisection then shortens the shortest δ that landed along its ray.

    Args:
        problem: K tasks.
        steps: gradient steps.
        seed: of the random directions.

    Returns:
        Displacements [K, *Z], zero where none was found that lands, and whether one was [K].
    """
    model = problem.model
    way = problem.goal - problem.start
    distance = latent_norm(model, way)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(_RANDOM_INITS, *way.shape, generator=generator).to(way)
    directions = problem.scaled(noise, (0.5 * distance).expand(_RANDOM_INITS, -1))
    # In units of ‖g - s‖ per coordinate, so that one learning rate serves all tasks.
    unit = problem.widen(distance) / math.sqrt(math.prod(model.latent_shape))
    inner = (torch.cat([torch.zeros_like(way)[None], way[None], directions]) / unit).detach()
    inner.requires_grad_()
    optimiser = torch.optim.Adam([inner], lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, _RATE * _LAST)
    weight = torch.ones(inner.shape[:2]).to(way)
    shortest, best = torch.full_like(distance, math.inf), torch.zeros_like(way)
    for _ in range(steps):
        with torch.enable_grad():
            delta = inner * unit
            length = latent_norm(model, delta + _TINY)
            excess = (problem.cost(delta) / problem.threshold).log()
            loss = (length / distance + weight * excess.clamp(min=0)).sum()
        (inner.grad,) = torch.autograd.grad(loss, inner)
        landed = excess.detach() <= 0
        lengths = latent_norm(model, delta.detach()).masked_fill(~landed, math.inf)
        nearest, which = lengths.min(dim=0)
        chosen = delta.detach()[which, torch.arange(len(which), device=which.device)]
        best = torch.where(problem.widen(nearest < shortest), chosen, best)
        shortest = torch.minimum(shortest, nearest)
        weight = weight * torch.where(landed, 1 / _WEIGHT_FACTOR, _WEIGHT_FACTOR)
        optimiser.step()
        schedule.step()
    return _shortened(problem, best), shortest.isfinite()


def _shortened(problem: LandingProblem, delta: Tensor) -> Tensor:
    # Bisects for the shortest landing displacement along each ray.
    low = torch.zeros_like(problem.threshold)
    high = torch.ones_like(low)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        landed = problem.cost(problem.widen(middle) * delta) <= problem.threshold
        low, high = torch.where(landed, low, middle), torch.where(landed, middle, high)
    return problem.widen(high) * delta


def boundary_cost(model: WorldModel, tasks: HeldOutTasks, seed: int) -> Tensor:
    """Returns the thresholds [K]: mean goal costs of states on the goal region's boundary.

    In such a state agent and block are displaced from the goal by 20 px together in a random
    direction, and the angle by up to π / 9.
    """
    rng = np.random.default_rng(seed)
    shape = (len(tasks), _BOUNDARY_STATES)
    direction = rng.normal(size=(*shape, 4))
    direction *= POSITION_TOLERANCE / np.linalg.norm(direction, axis=-1, keepdims=True)
    states = np.repeat(tasks.goal_states[:, None], _BOUNDARY_STATES, axis=1)
    states[..., :4] += direction
    states[..., 4] += rng.uniform(-ANGLE_TOLERANCE, ANGLE_TOLERANCE, shape)
    latents = encode_states(model, states.reshape(-1, states.shape[-1]))
    latents = latents.reshape(*shape, *model.latent_shape)
    with torch.no_grad():
        costs = model.distance(latents, tasks.goal[:, None].expand_as(latents))
    return costs.mean(dim=1)


def one_step_change(model: WorldModel, held_out: Demonstrations, seed: int) -> float:
    """Returns the median ‖s_{t+1} - s_t‖ of latents along held-out demonstrations."""
    rng = np.random.default_rng(seed)
    episodes = rng.integers(0, len(held_out.states), _ONE_STEP_FRAMES)
    begins = rng.integers(0, held_out.actions.shape[1] - model.frameskip + 1, _ONE_STEP_FRAMES)
    before = encode_states(model, held_out.states[episodes, begins].astype(np.float64))
    after = held_out.states[episodes, begins + model.frameskip].astype(np.float64)
    return float(latent_norm(model, encode_states(model, after) - before).median())


@torch.no_grad()
def measure_brittleness(
    model: WorldModel,
    tasks: HeldOutTasks,
    held_out: Demonstrations,
    seed: int,
) -> Brittleness:
    """Measures the smallest landing displacements, random ones of their lengths, and one step.

    The one step is the paper's, along the gradient. The tasks' agents are set to rest.
    """
    tasks = tasks.at_rest(model)
    problem = LandingProblem(model, tasks.start, tasks.goal, boundary_cost(model, tasks, seed))
    delta, landed = smallest_displacements(problem, seed=seed)
    lengths = latent_norm(model, delta)
    distance = latent_norm(model, tasks.goal - tasks.start)
    apart = model.distance(tasks.start, tasks.goal)
    without_dynamics = distance * (1 - (problem.threshold / apart).sqrt()).clamp(min=0)

    generator = torch.Generator().manual_seed(seed + 1)
    noise = torch.randn(delta.shape, generator=generator).to(delta)
    random = problem.scaled(noise, lengths)
    initial, direction = problem.gradient()
    rays = torch.stack([-direction * problem.widen(c * distance) for c in GRADIENT_LENGTHS])
    gradient_costs = problem.cost(rays)
    random_cost = problem.cost(random)
    return Brittleness(
        problem=problem,
        delta=delta,
        random=random,
        ratio=_array((lengths / without_dynamics).masked_fill(~landed, math.nan)),
        relative=_array(lengths / distance),
        in_steps=_array(lengths / one_step_change(model, held_out, seed)),
        random_cost=_array(random_cost / initial),
        random_landed=float((random_cost <= problem.threshold).float().mean()),
        gradient_cost=_array((gradient_costs / initial).T),
        gradient_landed=_array((gradient_costs <= problem.threshold).any(dim=0)),
    )


def _array(values: Tensor) -> FloatArray:
    return values.double().cpu().numpy()
