"""How little a state input must change for the model to predict that it lands on the goal.

GRASP (arXiv 2602.00475) stops the gradient of its state inputs because an optimiser finds
adversarial states: s' = s - ε ∇_s ‖F(s, 0) - g‖² hardly differs from s, yet the model says
that doing nothing there leads to the goal. This file measures how far away such states are.
Starts and goals are at rest, so that in truth doing nothing keeps them: F(s, 0) = s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.goal import ANGLE_TOLERANCE, POSITION_TOLERANCE
from envs.pusht import FloatArray
from grasp_bench.evaluation.encoding import encode_states, latent_norm
from grasp_bench.evaluation.held_out_tasks import HeldOutTasks
from grasp_bench.training.data import Demonstrations
from grasp_bench.types import WorldModel

STEPS = 300
BOUNDARY_STATES = 16
ONE_STEP_FRAMES = 500
# Lengths of the single gradient step, in units of ‖g - s‖.
GRADIENT_LENGTHS = tuple(np.geomspace(0.01, 2.0, 24))
_BISECTIONS = 16
_RATE = 0.1  # of Adam, in units of ‖g - s‖ per coordinate
_LAST = 0.01  # of that, in the last step
_WEIGHT_FACTOR = 1.1  # by which λ rises or falls
_TINY = 1e-12  # the norm has no gradient at zero


@dataclass(frozen=True)
class Adversarial:
    """The smallest displacements that were found.

    Attributes:
        delta: [K, *Z] δ; zero where nothing landed.
        landed: [K] whether F(s + δ, 0) is on the goal.
    """

    delta: Tensor
    landed: Tensor


class LandingProblem:
    """Find δ with ‖F(s + δ, 0) - g‖² <= τ, for K tasks at once."""

    def __init__(self, model: WorldModel, start: Tensor, goal: Tensor, threshold: Tensor) -> None:
        """Starts and goals [K, *Z], thresholds τ [K]."""
        self.model, self.start, self.goal, self.threshold = model, start, goal, threshold
        zero = torch.zeros(model.frameskip, 2).to(start)
        self._action = model.normalise_actions(zero)[0]

    def cost(self, delta: Tensor) -> Tensor:
        """Goal costs [..., K] of displacements [..., K, *Z]."""
        successor = self.successor(delta)
        return self.model.distance(successor, self.goal.expand_as(successor))

    def successor(self, delta: Tensor) -> Tensor:
        """F(s + δ, 0), [..., K, *Z]."""
        state = self.start + delta
        leading = state.shape[: state.ndim - len(self.model.latent_shape)]
        return self.model.step(state, self._action.expand(*leading, -1))

    def lands(self, delta: Tensor) -> Tensor:
        """Whether [..., K] displacements land."""
        with torch.no_grad():
            return self.cost(delta) <= self.threshold

    def gradient(self) -> tuple[Tensor, Tensor]:
        """Costs [K] of no displacement and their unit-length gradients [K, *Z]."""
        with torch.enable_grad():
            variable = torch.zeros_like(self.start).requires_grad_()
            cost = self.cost(variable)
            (gradient,) = torch.autograd.grad(cost.sum(), variable)
        return cost.detach(), self.scaled(gradient, torch.ones_like(cost.detach()))

    def scaled(self, delta: Tensor, length: Tensor) -> Tensor:
        """Displacements [..., K, *Z] of the given Euclidean lengths [..., K]."""
        norm = latent_norm(self.model, delta).clamp(min=1e-12)
        return delta * self.widen(length / norm)

    def widen(self, values: Tensor) -> Tensor:
        """Numbers [..., K] with dimensions of size one in place of the latent's."""
        return values.reshape(*values.shape, *(1,) * len(self.model.latent_shape))


@dataclass(frozen=True)
class Brittleness:
    """What was measured on K tasks.

    Attributes:
        problem: the tasks, at rest, and when they count as landed.
        found: the displacements.
        random: [K, *Z] displacements of the same lengths in random directions.
        ratio: [K] ‖δ‖ over what a model without dynamics needs, F(s, 0) = s; NaN where
            nothing landed. 0 is fully brittle, 1 says that one must go there.
        relative: [K] ‖δ‖ / ‖g - s‖.
        in_steps: [K] ‖δ‖ in units of the latent's median change in one model step.
        random_cost: [K] goal cost of F(s + random, 0) in units of F(s, 0)'s.
        random_landed: share of random displacements that land.
        gradient_cost: [K, L] goal cost after one gradient step of each length, likewise.
        gradient_landed: [K] whether some length lands.
    """

    problem: LandingProblem
    found: Adversarial
    random: Tensor
    ratio: FloatArray
    relative: FloatArray
    in_steps: FloatArray
    random_cost: FloatArray
    random_landed: float
    gradient_cost: FloatArray
    gradient_landed: FloatArray

    def to_json(self) -> dict[str, Any]:
        """Medians over the tasks, and quartiles of the ratio."""
        landed = np.isfinite(self.ratio)
        best = self.gradient_cost.argmin(axis=1)
        report: dict[str, Any] = {"tasks": len(self.ratio), "landed": _rounded(landed.mean())}
        if landed.any():
            report |= {
                "ratio_median": _rounded(np.median(self.ratio[landed])),
                "ratio_lower_quartile": _rounded(np.quantile(self.ratio[landed], 0.25)),
                "ratio_upper_quartile": _rounded(np.quantile(self.ratio[landed], 0.75)),
                "relative_median": _rounded(np.median(self.relative[landed])),
                "one_step_changes_median": _rounded(np.median(self.in_steps[landed])),
                "random_cost_median": _rounded(np.median(self.random_cost[landed])),
                "random_landed": _rounded(self.random_landed),
            }
        return report | {
            "gradient_step_cost_median": _rounded(np.median(self.gradient_cost.min(axis=1))),
            "gradient_step_length_median": _rounded(np.median(np.array(GRADIENT_LENGTHS)[best])),
            "gradient_step_landed": _rounded(self.gradient_landed.mean()),
        }


def _rounded(value: float) -> float:
    return round(float(value), 4)


def smallest_displacements(
    problem: LandingProblem, inits: int = 4, steps: int = STEPS, seed: int = 0
) -> Adversarial:
    """The smallest Euclidean ‖δ‖ found with F(s + δ, 0) on the goal.

    Adam on ‖δ‖ / ‖g - s‖ + λ max(0, log(cost / τ)), each λ falling while its δ lands and
    rising while it does not. It starts at no displacement, at g - s and in random
    directions; at the end the shortest landing one is shortened along its ray.

    Args:
        problem: K tasks.
        inits: starts of the descent, at least two.
        steps: gradient steps.
        seed: of the random directions.
    """
    model = problem.model
    way = problem.goal - problem.start
    distance = latent_norm(model, way)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(inits - 2, *way.shape, generator=generator).to(way)
    directions = problem.scaled(noise, (0.5 * distance).expand(inits - 2, -1))
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
        shortest, best = _shorter(problem, delta.detach(), landed, shortest, best)
        weight = weight * torch.where(landed, 1 / _WEIGHT_FACTOR, _WEIGHT_FACTOR)
        optimiser.step()
        schedule.step()
    return Adversarial(_shortened(problem, best), shortest.isfinite())


def _shorter(
    problem: LandingProblem, delta: Tensor, landed: Tensor, shortest: Tensor, best: Tensor
) -> tuple[Tensor, Tensor]:
    """The shorter of what was best so far [K, *Z] and what landed now [I, K, *Z]."""
    lengths = latent_norm(problem.model, delta).masked_fill(~landed, math.inf)
    length, which = lengths.min(dim=0)
    chosen = delta[which, torch.arange(len(which), device=which.device)]
    best = torch.where(problem.widen(length < shortest), chosen, best)
    return torch.minimum(shortest, length), best


def _shortened(problem: LandingProblem, delta: Tensor) -> Tensor:
    # Bisection for the boundary of landing along each displacement's ray.
    low = torch.zeros_like(problem.threshold)
    high = torch.ones_like(low)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        landed = problem.lands(problem.widen(middle) * delta)
        low, high = torch.where(landed, low, middle), torch.where(landed, middle, high)
    return problem.widen(high) * delta


def boundary_cost(model: WorldModel, tasks: HeldOutTasks, seed: int) -> Tensor:
    """Goal costs [K] at which a state counts as on the goal: those of true near misses.

    The mean goal cost of states on the boundary of the success region: agent and block
    displaced by 20 px together in a random direction, the angle by up to π / 9.
    """
    rng = np.random.default_rng(seed)
    shape = (len(tasks), BOUNDARY_STATES)
    direction = rng.normal(size=(*shape, 4))
    direction *= POSITION_TOLERANCE / np.linalg.norm(direction, axis=-1, keepdims=True)
    states = np.repeat(tasks.goal_states[:, None], BOUNDARY_STATES, axis=1)
    states[..., :4] += direction
    states[..., 4] += rng.uniform(-ANGLE_TOLERANCE, ANGLE_TOLERANCE, shape)
    latents = encode_states(model, states.reshape(-1, states.shape[-1]))
    latents = latents.reshape(*shape, *model.latent_shape)
    with torch.no_grad():
        costs = model.distance(latents, tasks.goal[:, None].expand_as(latents))
    return costs.mean(dim=1)


def one_step_change(model: WorldModel, held_out: Demonstrations, seed: int) -> float:
    """Median ‖s_{t+1} - s_t‖ of latents along held-out demonstrations."""
    rng = np.random.default_rng(seed)
    episodes = rng.integers(0, len(held_out.states), ONE_STEP_FRAMES)
    begins = rng.integers(0, held_out.actions.shape[1] - model.frameskip + 1, ONE_STEP_FRAMES)
    before = encode_states(model, held_out.states[episodes, begins].astype(np.float64))
    after = held_out.states[episodes, begins + model.frameskip].astype(np.float64)
    return float(latent_norm(model, encode_states(model, after) - before).median())


@torch.no_grad()
def measure_brittleness(
    model: WorldModel,
    tasks: HeldOutTasks,
    held_out: Demonstrations,
    seed: int,
    steps: int = STEPS,
) -> Brittleness:
    """The smallest landing displacements, random ones as long, and the paper's single step.

    `tasks` are measured with agents at rest at start and goal.
    """
    tasks = tasks.at_rest(model)
    problem = LandingProblem(model, tasks.start, tasks.goal, boundary_cost(model, tasks, seed))
    found = smallest_displacements(problem, steps=steps, seed=seed)
    lengths = latent_norm(model, found.delta)
    distance = latent_norm(model, tasks.goal - tasks.start)
    apart = model.distance(tasks.start, tasks.goal)
    without_dynamics = distance * (1 - (problem.threshold / apart).sqrt()).clamp(min=0)

    generator = torch.Generator().manual_seed(seed + 1)
    noise = torch.randn(found.delta.shape, generator=generator).to(found.delta)
    random = problem.scaled(noise, lengths)
    initial, direction = problem.gradient()
    rays = torch.stack([-direction * problem.widen(c * distance) for c in GRADIENT_LENGTHS])
    gradient_costs = problem.cost(rays)
    random_cost = problem.cost(random)
    missing = ~found.landed
    return Brittleness(
        problem=problem,
        found=found,
        random=random,
        ratio=_array((lengths / without_dynamics).masked_fill(missing, math.nan)),
        relative=_array(lengths / distance),
        in_steps=_array(lengths / one_step_change(model, held_out, seed)),
        random_cost=_array(random_cost / initial),
        random_landed=float((random_cost <= problem.threshold).float().mean()),
        gradient_cost=_array((gradient_costs / initial).T),
        gradient_landed=_array((gradient_costs <= problem.threshold).any(dim=0)),
    )


def _array(values: Tensor) -> FloatArray:
    return values.double().cpu().numpy()
