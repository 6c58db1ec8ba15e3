"""grasp-plus: plans proposed by a learned prior, branched, refined, and chosen by the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.objective import goal_cost, goal_gradient
from grasp_bench.planners.adam import Adam
from grasp_bench.planners.base import check_elites, check_numbers, snapshot
from grasp_bench.planners.cem import cheapest
from grasp_bench.planners.search_space import Choice, FloatRange, IntRange, SearchSpace
from grasp_bench.rollout import guided_rollout, spread
from grasp_bench.types import Candidate, NoiseStreams, Problem, Reference

# a_t [B, N, A] for t and s_t [B, N, *Z].
Chooser = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class GraspPlus:
    """A population that π proposes, that branches along its own rollouts, and that descends.

        propose:  a_t ~ π(· | s_t, g, T - t),  s_{t+1} = F(s_t, a_t),  t = 0 .. T - 1,
                  N_0 plans, then 2 N_0, 4 N_0 .. up to N
        branch:   a_t = a_t of an elite + σ ξ for t < τ, proposed from there on,
                  ξ ~ N(0, I), τ uniform on 0 .. T - 1
        refine:   J Adam steps of every elite on ‖s_T(a) - g‖²
        choose:   the elites are the E plans of lowest ‖s_T(a) - g‖² so far

    π is the model's action prior (`models/prior.py`) at a temperature; without one
    a_t ~ N(0, I). All plans of all problems are rolled out together. The first
    populations are all proposals, and small, so that an easy problem is answered soon;
    then refining and branching, N plans at a time, alternate without end. What was tried
    and left out, and what each part is worth, is in docs/grasp-plus.md.

    Attributes:
        samples: N, plans of a population.
        first_samples: N_0, plans of the first.
        elites: E, plans that live on.
        temperature: of the prior.
        branch_noise: σ, normalised action units.
        refine_steps: J.
        refine_lr: Adam's step size.
        branching: False proposes whole plans each time (ablation).
        refining: False leaves out the descent (ablation).
        use_prior: False proposes standard normal actions (ablation).
    """  # noqa: RUF002

    name: ClassVar[str] = "grasp-plus"
    reference: ClassVar[Reference] = "none"
    uses_prior: ClassVar[bool] = True
    search_space: ClassVar[SearchSpace] = {
        "samples": IntRange(16, 256),
        "elites": IntRange(4, 16),
        "temperature": FloatRange(0.3, 1.5),
        "refining": Choice((True, False)),
        "refine_steps": IntRange(1, 10),
    }

    samples: int = 64
    first_samples: int = 8
    elites: int = 8
    temperature: float = 0.7
    branch_noise: float = 0.05
    refine_steps: int = 5
    refine_lr: float = 0.02
    branching: bool = True
    refining: bool = True
    use_prior: bool = True

    def __post_init__(self) -> None:
        check_numbers(self)
        check_elites(self, self.elites, self.samples)

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """One candidate per population and per refinement, without end."""
        sizes = self._sizes()
        plans, costs = self._proposed(problem, noise, sizes[0])
        for iteration in count(1):
            plans, costs = cheapest(plans, costs, min(self.elites, plans.shape[1]))
            yield Candidate(plans[:, 0], costs[:, 0], iteration)
            past = iteration - len(sizes)  # populations and refinements since they were full
            if self.refining and past >= 0 and past % 2 == 0:
                plans, costs = self._refined(problem, plans, costs)
            else:
                size, parents = (sizes[iteration], None) if past < 0 else (self.samples, plans)
                found, their_costs = self._proposed(problem, noise, size, parents)
                plans, costs = torch.cat([plans, found], 1), torch.cat([costs, their_costs], 1)

    def _sizes(self) -> list[int]:
        """How many plans are proposed before any branches: N_0, 2 N_0, 4 N_0 .. N."""
        sizes = [min(self.first_samples, self.samples)]
        while sizes[-1] < self.samples:
            sizes.append(min(2 * sizes[-1], self.samples))
        return sizes

    @torch.no_grad()
    def _proposed(
        self, problem: Problem, noise: NoiseStreams, size: int, elites: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Plans [B, size, T, A] and their costs; branches of elites [B, E, T, A] if given."""
        leading = torch.Size((problem.batch, size))
        start, goal = (spread(problem.model, z, leading) for z in (problem.start, problem.goal))
        choose = self._chooser(problem, goal, noise)
        if elites is not None and self.branching:
            choose = self._branched(elites, size, choose, noise)
        plans, ends = guided_rollout(problem.model, start, problem.steps, choose)
        return plans, problem.model.distance(ends, goal)

    def _chooser(self, problem: Problem, goal: Tensor, noise: NoiseStreams) -> Chooser:
        """Actions [B, N, A] for t and s_t, of the prior or standard normal."""
        prior, steps = problem.prior if self.use_prior else None, problem.steps
        width = problem.model.action_dim if prior is None else prior.draws
        draws = noise.normal(goal.shape[1], steps, width, like=goal)
        if prior is None:
            return lambda t, state: draws[:, :, t]
        return lambda t, state: prior.sample(
            state, goal, steps - t, draws[:, :, t], self.temperature
        )

    def _branched(self, elites: Tensor, size: int, fresh: Chooser, noise: NoiseStreams) -> Chooser:
        """The actions of random elites until each plan's random τ, fresh ones from then on."""
        shares = torch.special.ndtr(noise.normal(size, 2, like=elites))
        sizes = torch.tensor(elites.shape[1:3], device=elites.device)
        parents, leaves = (shares * sizes).long().minimum(sizes - 1).unbind(-1)
        kept = elites.take_along_dim(parents[:, :, None, None], dim=1)
        kept = kept + self.branch_noise * noise.normal(*kept.shape[1:], like=kept)
        return lambda t, state: torch.where(leaves[..., None] > t, kept[:, :, t], fresh(t, state))

    def _refined(self, problem: Problem, plans: Tensor, costs: Tensor) -> tuple[Tensor, Tensor]:
        """Every elite after J steps where that is cheaper, [B, E, T, A], and its cost [B, E]."""
        refined = snapshot(plans)
        adam = Adam(refined, self.refine_lr)
        for _ in range(self.refine_steps):
            _, gradient = goal_gradient(problem, refined)
            adam.step(gradient)
        with torch.no_grad():
            after = goal_cost(problem, refined)
        better = (after < costs)[:, :, None, None]
        return torch.where(better, refined, plans), torch.minimum(after, costs)
