"""GRASP, the Gradient RelAxed Stochastic Planner (arXiv 2602.00475)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from grasp_bench.objective import goal_gradient
from grasp_bench.planners.adam import Adam
from grasp_bench.planners.base import check_elites, check_numbers, evaluated, restarts, variable
from grasp_bench.planners.cem import refitted
from grasp_bench.planners.search_space import Choice, FloatRange, IntRange, SearchSpace
from grasp_bench.types import Candidate, NoiseStreams, Problem, Reference


@dataclass(frozen=True)
class Descent:
    """The variables of one run, changed in place, and their optimisers.

    Attributes:
        states: [B, T - 1, *Z] virtual states s_1 .. s_{T-1}.
        actions: [B, T, A].
    """

    states: Tensor
    actions: Tensor
    by_state: Adam
    by_action: Adam

    def reset(self) -> None:
        """Lets the optimisers start afresh."""
        self.by_state.reset()
        self.by_action.reset()


@dataclass(frozen=True)
class GRASP:
    """Noisy descent on virtual states and actions, all T transitions in one model call.

        L_dyn  = Σ_t ‖F(s̄_t, a_t) - s_{t+1}‖²        s̄: no gradient, s_0 and s_T = g fixed
        L_goal = Σ_t ‖F(s̄_t, a_t) - g‖²
        L      = L_dyn + γ L_goal
        a_t ← a_t - η_a ∇L,   s_t ← s_t - η_s ∇L + σ ξ,   ξ ~ N(0, I)

    Every `sync_every` iterations a serial planner refines the actions alone on
    ‖s_T(a) - g‖². Defaults are those of the authors' public solver: the descent steps
    are Adam's, its moments start afresh after each sync, and squared norms are means
    over the latent (`WorldModel.distance`). The first states lie on the line from start
    to goal, s_t = (t/T) g + (1 - t/T) s_0 + σ_0 ξ; the first actions are zero in the
    model's normalised units, the mean action of its training data.

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
        yield_every: iterations between two candidates; a sync also gives one.
    """  # noqa: RUF002

    name: ClassVar[str] = "grasp"
    reference: ClassVar[Reference] = "none"
    search_space: ClassVar[SearchSpace] = {
        "sync": Choice(("gd", "cem")),
        "sync_every": IntRange(5, 100),
        "gd_steps": IntRange(5, 50),
        "action_lr": FloatRange(0.0005, 0.02),
        "state_noise": FloatRange(0.001, 0.1),
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
    yield_every: int = 10

    def __post_init__(self) -> None:
        check_numbers(self)
        check_elites(self, self.cem_elites, self.cem_samples)

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """One candidate every `yield_every` iterations and after each sync, without end."""
        return restarts(lambda: self._run(problem, noise))

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        path = self.start(problem, noise)
        for iteration in range(1, self.iterations + 1):
            progress = (iteration - 1) % self.sync_every / max(self.sync_every - 1, 1)
            self.descend(problem, path, noise, progress)
            synced = self.sync != "none" and iteration % self.sync_every == 0
            if synced:
                self._synchronise(problem, path.actions, noise)
                path.reset()
            if synced or iteration % self.yield_every == 0 or iteration == self.iterations:
                yield evaluated(problem, path.actions, iteration, path.states)

    def start(self, problem: Problem, noise: NoiseStreams) -> Descent:
        """The first states and actions of a run."""
        states = straight_line(problem)
        states += self.initial_noise * noise.normal(*states.shape[1:], like=states)
        actions = states.new_zeros(problem.batch, problem.steps, problem.model.action_dim)
        return Descent(states, actions, Adam(states, self.state_lr), Adam(actions, self.action_lr))

    def descend(
        self, problem: Problem, path: Descent, noise: NoiseStreams, progress: float = 0.0
    ) -> None:
        """One iteration, a share `progress` of the way through the sync phase."""
        by_state, by_action = self.gradients(problem, path.states, path.actions, progress)
        path.by_state.step(by_state)
        path.by_action.step(by_action)
        shaken = path.states if self.noise_on == "states" else path.actions
        sigma = annealed(self.state_noise, self.final_noise, progress)
        shaken.add_(noise.normal(*shaken.shape[1:], like=shaken), alpha=sigma)

    def gradients(
        self, problem: Problem, states: Tensor, actions: Tensor, progress: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """∂L/∂s [B, T - 1, *Z] and ∂L/∂a [B, T, A] of every problem's own loss."""
        with torch.enable_grad():
            path, plan = variable(states), variable(actions)
            errors = self.errors(problem, path, plan)
            weights = self._weights(errors, progress).expand_as(errors)
            by_state, by_action = torch.autograd.grad(errors, (path, plan), weights)
        return by_state, by_action

    def loss(
        self, problem: Problem, states: Tensor, actions: Tensor, progress: float = 0.0
    ) -> Tensor:
        """L [B] of virtual states s_1 .. s_{T-1} [B, T - 1, *Z] and actions [B, T, A].

        `progress` through the sync phase, 0 to 1, decides the goal weight.
        """
        errors = self.errors(problem, states, actions)
        return (self._weights(errors, progress) * errors).sum(dim=0).sum(dim=1)

    def errors(self, problem: Problem, states: Tensor, actions: Tensor) -> Tensor:
        """‖F(s_t, a_t) - s_{t+1}‖², [1, B, T], and with the dense goal term ‖F(s_t, a_t) - g‖² too.

        The first dimension is then 2. All transitions are one call of the model, all
        distances one as well.
        """
        start, goal = problem.start[:, None], problem.goal[:, None]
        inputs = states.detach() if self.stop_state_gradient else states
        reached = problem.model.step(torch.cat([start, inputs], dim=1), actions)
        successors = torch.cat([states, goal], dim=1)
        targets = [successors, goal.expand_as(successors)] if self.dense_goal else [successors]
        return problem.model.distance(reached, torch.stack(targets))

    def _weights(self, errors: Tensor, progress: float) -> Tensor:
        """What each kind of error counts in L, [1 or 2, 1, 1]."""
        gamma = annealed(self.goal_weight, self.final_goal_weight, progress)
        return errors.new_tensor([1.0, gamma][: len(errors)])[:, None, None]

    def _synchronise(self, problem: Problem, actions: Tensor, noise: NoiseStreams) -> None:
        """Lowers ‖s_T(a) - g‖² by changing the actions in place."""
        if self.sync == "gd":
            adam = Adam(actions, self.gd_lr)
            for _ in range(self.gd_steps):
                _, gradient = goal_gradient(problem, actions)
                adam.step(gradient)
            return
        mean, deviation = actions, torch.full_like(actions, self.cem_sigma)
        for _ in range(self.cem_iterations):
            mean, deviation, _ = refitted(
                problem, mean, deviation, self.cem_samples, self.cem_elites, noise
            )
        actions.copy_(mean)


def annealed(first: float, final: float | None, progress: float) -> float:
    """The point a share `progress` of the way from `first` to `final`, if there is a way."""
    return first if final is None else first + (final - first) * progress


def straight_line(problem: Problem) -> Tensor:
    """States s_t = (t/T) g + (1 - t/T) s_0 for t = 1 .. T - 1, [B, T - 1, *Z]."""
    share = torch.arange(1, problem.steps).to(problem.start) / problem.steps
    share = share.reshape(-1, *(1,) * len(problem.model.latent_shape))
    return problem.start[:, None].lerp(problem.goal[:, None], share)
