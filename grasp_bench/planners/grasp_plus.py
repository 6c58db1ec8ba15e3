"""Plans by grasp-plus: a learned prior proposes, plans branch and descend, the model chooses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners._numerics.adam import Adam
from grasp_bench.planners.objective import goal_gradient
from grasp_bench.planners.proposals import Population, chooser, costed, guided, proposed
from grasp_bench.planners.rollout import rollout
from grasp_bench.planners.search_space import Choice, FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner, snapshot


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
    transitions of a proposal. Then τ is spread evenly. All actions are kept within the limits.
    The first populations are all proposals, and small, so that an easy problem is answered
    soon; then refining and branching, N plans at a time, alternate without end. What was tried
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
        return proposed(problem, noise, size, self.temperature, self.use_prior)

    def _branched(self, problem: Problem, noise: NoiseStreams, elites: Population) -> Population:
        """Returns N plans that follow random elites for a while."""
        if not self.branching:
            return self._proposed(problem, noise, self.samples)
        fresh = chooser(problem, noise, self.samples, self.temperature, self.use_prior)
        shares = torch.special.ndtr(noise.normal(self.samples, 2, like=elites.plans))
        sizes = torch.tensor(elites.plans.shape[1:3], device=shares.device)
        parents, leaves = (shares * sizes).long().minimum(sizes - 1).unbind(-1)
        followed = elites.members(parents)
        if self.branch_noise == 0:
            evenly = [i * problem.steps // self.samples for i in range(self.samples)]
            return guided(problem, followed.plans, followed.states, evenly, fresh)
        kept = followed.plans
        kept = kept + self.branch_noise * noise.normal(*kept.shape[1:], like=kept)

        def choose(t: int, state: Tensor) -> Tensor:
            return torch.where(leaves[..., None] > t, kept[:, :, t], fresh(t, state))

        return guided(problem, kept, followed.states, [0] * self.samples, choose)

    def _refined(self, problem: Problem, elites: Population) -> Population:
        """Takes J steps from every elite, and keeps those that make it cheaper."""
        plans = snapshot(elites.plans)
        adam = Adam(plans, self.refine_lr)
        for _ in range(self.refine_steps):
            _, gradient = goal_gradient(problem, plans)
            adam.step(gradient)
            problem.project_(plans)
        with torch.no_grad():
            visited = rollout(problem.model, problem.start, plans)
            states = torch.cat([elites.states[:, :, :1], visited[:, :, :-1]], dim=2)
            after = costed(problem, plans, states, visited[:, :, -1])
        number = plans.shape[1]
        places = torch.arange(number, device=plans.device) + number * (after.costs < elites.costs)
        return elites.joined(after).members(places)
