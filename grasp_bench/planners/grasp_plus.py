"""Plans by grasp-plus: a learned prior proposes, plans branch and descend, the model chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners._numerics.adam import Adam
from grasp_bench.planners.objective import goal_gradient
from grasp_bench.planners.rollout import guided_rollout, rollout, spread
from grasp_bench.planners.search_space import Choice, FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner, snapshot

# a_t [B, n, A] for t and the s_t [B, n, *Z] of the first n plans.
Chooser = Callable[[int, Tensor], Tensor]


class Population(NamedTuple):
    """Holds plans [B, N, T, A], the s_0 .. s_{T-1} [B, N, T, *Z] they visit, costs [B, N]."""

    plans: Tensor
    states: Tensor
    costs: Tensor

    def cheapest(self, number: int) -> Population:
        """Returns the plans of lowest cost, cheapest first."""
        _, places = self.costs.topk(min(number, self.costs.shape[1]), largest=False)
        return self.members(places)

    def members(self, places: Tensor) -> Population:
        """Returns the plans at places [B, n]."""
        problems = torch.arange(len(places), device=places.device)[:, None]
        return Population(*(part[problems, places] for part in self))

    def joined(self, other: Population) -> Population:
        """Returns these plans and then the others."""
        return Population(*(torch.cat(pair, dim=1) for pair in zip(self, other, strict=True)))


@dataclass(frozen=True)
class GraspPlus(RestartingPlanner):
    """Searches with plans that π proposes, that branch along their own rollouts and descend.

        propose:  a_t ~ π(· | s_t, g, T - t),  s_{t+1} = F(s_t, a_t),  t = 0 .. T - 1,
                  N_0 plans, then 2 N_0, 4 N_0 .. up to N
        branch:   a_t = a_t of a random elite + σ ξ for t < τ, proposed from there on,
                  ξ ~ N(0, I), τ uniform on 0 .. T - 1
        refine:   J Adam steps of every elite on ‖s_T(a) - g‖²
        choose:   the elites are the E plans of lowest ‖s_T(a) - g‖² so far

    π is the model's action prior (`models/prior.py`) at a temperature; without one
    a_t ~ N(0, I). All plans of all problems are rolled out together. Without σ a branch is
    where its elite was until it leaves it, and is rolled out from there: on average half the
    transitions of a proposal. Then τ is spread evenly. The first populations are all
    proposals, and small, so that an easy problem is answered soon; then refining and
    branching, N plans at a time, alternate without end. What was tried and left out, and
    what each part is worth, is in docs/grasp-plus.md.

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
    uses_prior: ClassVar[bool] = True
    search_space: ClassVar[SearchSpace] = {
        "samples": IntRange(16, 256),
        "elites": IntRange(4, 16),
        "temperature": FloatRange(0.3, 1.5),
        "branch_noise": Choice((0.0, 0.05)),
        "refining": Choice((True, False)),
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
        super().__post_init__()
        self.check_range("elites", 2, self.samples)

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """Yields one candidate per population and per refinement, without end."""
        sizes = self._sizes()
        population = self._proposed(problem, noise, sizes[0])
        for iteration in count(1):
            elites = population.cheapest(self.elites)
            yield Candidate(elites.plans[:, 0], elites.costs[:, 0], iteration)
            past = iteration - len(sizes)  # populations and refinements since they were full
            if self.refining and past >= 0 and past % 2 == 0:
                population = self._refined(problem, elites)
            elif past < 0:
                population = elites.joined(self._proposed(problem, noise, sizes[iteration]))
            else:
                population = elites.joined(self._branched(problem, noise, elites))

    def _sizes(self) -> list[int]:
        """Returns how many plans are proposed before any branches: N_0, 2 N_0, 4 N_0 .. N."""
        sizes = [min(self.first_samples, self.samples)]
        while sizes[-1] < self.samples:
            sizes.append(min(2 * sizes[-1], self.samples))
        return sizes

    def _proposed(self, problem: Problem, noise: NoiseStreams, size: int) -> Population:
        """Proposes so many whole plans."""
        steps, width = problem.steps, problem.model.action_dim
        states = spread(problem.model, problem.start, torch.Size((problem.batch, size, steps)))
        plans = problem.start.new_zeros(problem.batch, size, steps, width)
        choose = self._chooser(problem, noise, size)
        return self._guided(problem, plans, states, [0] * size, choose)

    def _branched(self, problem: Problem, noise: NoiseStreams, elites: Population) -> Population:
        """Returns N plans that follow random elites for a while."""
        if not self.branching:
            return self._proposed(problem, noise, self.samples)
        fresh = self._chooser(problem, noise, self.samples)
        shares = torch.special.ndtr(noise.normal(self.samples, 2, like=elites.plans))
        sizes = torch.tensor(elites.plans.shape[1:3], device=shares.device)
        parents, leaves = (shares * sizes).long().minimum(sizes - 1).unbind(-1)
        followed = elites.members(parents)
        if self.branch_noise == 0:
            evenly = [i * problem.steps // self.samples for i in range(self.samples)]
            return self._guided(problem, followed.plans, followed.states, evenly, fresh)
        kept = followed.plans
        kept = kept + self.branch_noise * noise.normal(*kept.shape[1:], like=kept)

        def choose(t: int, state: Tensor) -> Tensor:
            return torch.where(leaves[..., None] > t, kept[:, :, t], fresh(t, state))

        return self._guided(problem, kept, followed.states, [0] * self.samples, choose)

    @torch.no_grad()
    def _guided(
        self, problem: Problem, plans: Tensor, states: Tensor, leaves: list[int], choose: Chooser
    ) -> Population:
        """Rolls out plans that follow given ones until they leave them, then choose."""
        plans, states, ends = guided_rollout(problem.model, plans, states, leaves, choose)
        goal = spread(problem.model, problem.goal, plans.shape[:2])
        return Population(plans, states, problem.model.distance(ends, goal))

    def _chooser(self, problem: Problem, noise: NoiseStreams, size: int) -> Chooser:
        """Returns what chooses actions: the prior, or standard normal draws."""
        prior, steps = problem.prior if self.use_prior else None, problem.steps
        width = problem.model.action_dim if prior is None else prior.draws
        draws = noise.normal(size, steps, width, like=problem.goal)
        if prior is None:
            return lambda t, state: draws[:, : state.shape[1], t]
        goal = spread(problem.model, problem.goal, torch.Size((problem.batch, size)))
        return lambda t, state: prior.sample(
            state,
            goal[:, : state.shape[1]],
            steps - t,
            draws[:, : state.shape[1], t],
            self.temperature,
        )

    def _refined(self, problem: Problem, elites: Population) -> Population:
        """Takes J steps from every elite, and keeps those that make it cheaper."""
        plans = snapshot(elites.plans)
        adam = Adam(plans, self.refine_lr)
        for _ in range(self.refine_steps):
            _, gradient = goal_gradient(problem, plans)
            adam.step(gradient)
        with torch.no_grad():
            visited = rollout(problem.model, problem.start, plans)
            goal = spread(problem.model, problem.goal, plans.shape[:2])
            states = torch.cat([elites.states[:, :, :1], visited[:, :, :-1]], dim=2)
            after = Population(plans, states, problem.model.distance(visited[:, :, -1], goal))
        number = plans.shape[1]
        places = torch.arange(number, device=plans.device) + number * (after.costs < elites.costs)
        return elites.joined(after).members(places)
