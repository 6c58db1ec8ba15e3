"""Plans by GRASP, the Gradient RelAxed Stochastic Planner (arXiv 2602.00475)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Objective, Problem, WorldModel
from grasp_bench.planners._numerics.adam import Adam
from grasp_bench.planners.cem import refitted
from grasp_bench.planners.objective import goal_distance, goal_gradient
from grasp_bench.planners.rollout import rollout
from grasp_bench.planners.search_space import Choice, FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner, evaluated, variable

_LEAST_DEVIATION = 0.01  # normalised action units


@dataclass(frozen=True)
class GRASP(RestartingPlanner):
    """Descends noisily on virtual states and actions, all T transitions in one model call.

        L_dyn  = Σ_t ‖F(s̄_t, a_t) - s_{t+1}‖²        s̄: no gradient, s_0 and s_T = g fixed
        L_goal = Σ_t ‖F(s̄_t, a_t) - g‖²
        L      = L_dyn + γ L_goal
        a_t ← Π(a_t - η_a ∇L),   s_t ← s_t - η_s ∇L + σ ξ,   ξ ~ N(0, I)

    Every `sync_every` iterations a serial planner refines the actions alone on
    ‖s_T(a) - g‖². Defaults are those of the authors' public solver: the descent steps
    are Adam's, its moments start afresh after each sync, and squared norms are means
    over the latent (`WorldModel.distance`). The first states lie on the line from start
    to goal, s_t = (t/T) g + (1 - t/T) s_0 + σ_0 ξ; the first actions are zero in the
    model's normalised units, the mean action of its training data. Π moves an action to the
    nearest one within the limits.

    A sync phase is `sync_every` iterations, synced or not. Within each, σ and γ move linearly
    from `state_noise` and `goal_weight` at its first iteration to `final_noise` and
    `final_goal_weight` at its last, where those are given; the authors' second public version
    takes σ from 0.1 to 0 and γ from 2 to 1. Without `dense_goal`, g attracts the last
    transition alone: ‖F(s̄_{T-1}, a_{T-1}) - g‖² is a term of L_dyn, so L = L_dyn.

    Attributes:
        iterations: descent steps of one run, before a restart.
        state_lr: η_s.
        action_lr: η_a.
        goal_weight: γ, at the first iteration of a phase.
        final_goal_weight: γ at the last; `none` keeps `goal_weight`.
        dense_goal: False leaves L_goal out (ablation).
        state_noise: σ at the first iteration of a phase, latent units.
        final_noise: σ at the last; `none` keeps `state_noise`.
        noise_on: what ξ is added to: states, or actions in their normalised units (ablation).
        initial_noise: σ_0, latent units; of the states in any case.
        stop_state_gradient: False lets gradients reach s_t through F as well (ablation).
        sync: the serial planner, or none (ablation).
        sync_every: K_sync, descent steps between syncs.
        gd_steps: J_sync, Adam steps of a gradient sync.
        gd_lr: their step size.
        cem_iterations: refits of a CEM sync.
        cem_samples: plans per refit.
        cem_elites: plans kept per refit.
        cem_sigma: initial standard deviation around the actions, normalised action units.
        cem_deviation: `sigma` takes that; `states`, as the authors' solver does, the root mean
            square difference of virtual and rolled-out states at the end of each step, at least
            0.01, and leaves the mean out of the samples.
        plain_mean: squared norms are means over the whole latent, as in the authors' solver.
        yield_every: iterations between two candidates; a sync also gives one.
        starts: runs of every problem at once, each with noise of its own; the best is shown.
    """  # noqa: RUF002

    name: ClassVar[str] = "grasp"
    search_space: ClassVar[SearchSpace] = {
        "sync": Choice(("gd", "cem")),
        "sync_every": IntRange(5, 100),
        "gd_steps": IntRange(5, 50),
        "action_lr": FloatRange(0.0005, 0.02),
        "state_noise": FloatRange(0.001, 0.1),
        "starts": IntRange(1, 16),
    }

    iterations: int = 750
    state_lr: float = 0.1
    action_lr: float = 0.005
    goal_weight: float = 1.0
    final_goal_weight: float | None = None
    dense_goal: bool = True
    state_noise: float = 0.005
    final_noise: float | None = None
    noise_on: Literal["states", "actions"] = "states"
    initial_noise: float = 0.005
    stop_state_gradient: bool = True
    sync: Literal["gd", "cem", "none"] = "gd"
    sync_every: int = 50
    gd_steps: int = 10
    gd_lr: float = 0.05
    cem_iterations: int = 5
    cem_samples: int = 64
    cem_elites: int = 8
    cem_sigma: float = 0.3
    cem_deviation: Literal["sigma", "states"] = "sigma"
    plain_mean: bool = False
    yield_every: int = 10
    starts: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("cem_elites", 2, self.cem_samples)  # one plan has no standard deviation

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        path = states, actions = self.start(problem, noise)
        inner = with_plain_mean(problem) if self.plain_mean else problem
        for iteration in range(1, self.iterations + 1):
            progress = (iteration - 1) % self.sync_every / max(self.sync_every - 1, 1)
            self.descend(inner, path, noise, progress)
            synced = self.sync != "none" and iteration % self.sync_every == 0
            if synced:
                self._synchronise(inner, states.variable, actions.variable, noise)
                states.reset()
                actions.reset()
            if synced or iteration % self.yield_every == 0 or iteration == self.iterations:
                yield evaluated(problem, actions.variable, iteration, states.variable)

    def start(self, problem: Problem, noise: NoiseStreams) -> tuple[Adam, Adam]:
        """Draws the first states s_1 .. s_{T-1} [B, T - 1, *Z] and actions [B, T, A] of a run."""
        states = straight_line(problem)
        states += self.initial_noise * noise.normal(*states.shape[1:], like=states)
        actions = states.new_zeros(problem.batch, problem.steps, problem.model.action_dim)
        return Adam(states, self.state_lr), Adam(actions, self.action_lr)

    def descend(
        self, problem: Problem, path: tuple[Adam, Adam], noise: NoiseStreams, progress: float = 0.0
    ) -> None:
        """Takes one step, a share `progress` of the way through the sync phase."""
        states, actions = path
        by_state, by_action = self.gradients(problem, states.variable, actions.variable, progress)
        states.step(by_state)
        actions.step(by_action)
        problem.project_(actions.variable)
        shaken = (states if self.noise_on == "states" else actions).variable
        sigma = annealed(self.state_noise, self.final_noise, progress)
        shaken.add_(noise.normal(*shaken.shape[1:], like=shaken), alpha=sigma)
        if shaken is actions.variable:
            problem.project_(shaken)

    def gradients(
        self, problem: Problem, states: Tensor, actions: Tensor, progress: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Returns ∂L/∂s [B, T - 1, *Z] and ∂L/∂a [B, T, A] of every problem's own loss."""
        with torch.enable_grad():
            path, plan = variable(states), variable(actions)
            loss = self.loss(problem, path, plan, progress).sum()
            by_state, by_action = torch.autograd.grad(loss, (path, plan))
        return by_state, by_action

    def loss(
        self, problem: Problem, states: Tensor, actions: Tensor, progress: float = 0.0
    ) -> Tensor:
        """Returns L [B] of virtual states s_1 .. s_{T-1} [B, T - 1, *Z] and actions [B, T, A].

        `progress` through the sync phase, 0 to 1, decides the goal weight. All transitions are
        one call of the model.
        """
        start, goal = problem.start[:, None], problem.goal[:, None]
        inputs = states.detach() if self.stop_state_gradient else states
        reached = problem.model.step(torch.cat([start, inputs], dim=1), actions)
        weight = annealed(self.goal_weight, self.final_goal_weight, progress)
        defects = problem.model.distance(reached[:, :-1], states).sum(dim=1)
        if not self.dense_goal:
            return defects + goal_distance(problem, reached[:, -1], problem.goal)
        misses = goal_distance(problem, reached, goal.expand_as(reached))
        return defects + misses[:, -1] + weight * misses.sum(dim=1)

    def _synchronise(
        self, problem: Problem, states: Tensor, actions: Tensor, noise: NoiseStreams
    ) -> None:
        """Lowers ‖s_T(a) - g‖² by changing the actions in place."""
        if self.sync == "gd":
            adam = Adam(actions, self.gd_lr)
            for _ in range(self.gd_steps):
                _, gradient = goal_gradient(problem, actions)
                adam.step(gradient)
                problem.project_(actions)
            return
        mean, deviation, fixed = actions, torch.full_like(actions, self.cem_sigma), True
        if self.cem_deviation == "states":
            fixed, deviation = False, drift(problem, states, actions).expand_as(actions)
        for _ in range(self.cem_iterations):
            mean, deviation, _ = refitted(
                problem, mean, deviation, self.cem_samples, self.cem_elites, noise, fixed
            )
        actions.copy_(mean)


def annealed(first: float, final: float | None, progress: float) -> float:
    """Returns the point a share `progress` of the way from `first` to `final`, if given."""
    return first if final is None else first + (final - first) * progress


@torch.no_grad()
def drift(problem: Problem, states: Tensor, actions: Tensor) -> Tensor:
    """Returns how far virtual states lie from a rollout, [B, T, 1], at least 0.01.

    It is the root mean square over the latent at the end of each step; the last virtual state
    is the goal.
    """
    visited = rollout(problem.model, problem.start, actions)
    difference = visited - torch.cat([states, problem.goal[:, None]], dim=1)
    return difference.square().flatten(2).mean(2, keepdim=True).sqrt().clamp(min=_LEAST_DEVIATION)


class PlainMean:
    """Is a world model but for its distance: the mean of squares over the whole latent."""

    def __init__(self, model: WorldModel) -> None:
        self._model = model
        self._dims = tuple(range(-len(model.latent_shape), 0))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def distance(self, state: Tensor, goal: Tensor) -> Tensor:
        """Returns the mean squared difference [...] of latents [..., *Z]."""
        return (state - goal).square().mean(self._dims)

    def goal_distance(self, state: Tensor, goal: Tensor, proprio_weight: float) -> Tensor:
        """Returns `distance`, whatever the weight."""
        return self.distance(state, goal)


def with_plain_mean(problem: Problem) -> Problem:
    """Returns the problem as it is measured by `PlainMean`."""
    model = cast(WorldModel, PlainMean(problem.model))
    return replace(problem, model=model, objective=Objective())


def straight_line(problem: Problem) -> Tensor:
    """Returns states s_t = (t/T) g + (1 - t/T) s_0 for t = 1 .. T - 1, [B, T - 1, *Z]."""
    share = torch.arange(1, problem.steps).to(problem.start) / problem.steps
    share = share.reshape(-1, *(1,) * len(problem.model.latent_shape))
    return problem.start[:, None].lerp(problem.goal[:, None], share)
