"""Plans by quasi-Newton descent from what a learned prior proposes, after LEAP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners.lbfgs import Descent
from grasp_bench.planners.proposals import proposed
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner


@dataclass(frozen=True)
class LEAP(RestartingPlanner):
    """Descends by L-BFGS from the cheapest of N plans that the prior proposes.

        a_t ~ π(· | s_t, g, T - t),  s_{t+1} = F(s_t, a_t)     N plans, the cheapest K descend
        a   ← cheapest of a and Π(a - 2^-j H ∇‖s_T(a) - g‖²),  j = 0 .. J - 1

    The descent is that of `LBFGS`. Without a prior a_t ~ N(0, I). Candidate 0 is the best
    proposal, candidate k the best plan after k steps.

    Attributes:
        samples: N.
        temperature: of the prior.
        refined: K.
        iterations: steps of one run, before a restart.
        memory: steps that H is made of.
        lengths: J.
        first_step: length of the first step, normalised action units.
    """

    name: ClassVar[str] = "leap"
    uses_prior: ClassVar[bool] = True
    search_space: ClassVar[SearchSpace] = {
        "samples": IntRange(8, 256),
        "temperature": FloatRange(0.3, 1.5),
        "refined": IntRange(1, 16),
        "iterations": IntRange(3, 100),
        "first_step": FloatRange(0.03, 3.0),
    }

    samples: int = 64
    temperature: float = 0.7
    refined: int = 8
    iterations: int = 20
    memory: int = 10
    lengths: int = 4
    first_step: float = 0.3

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        best = proposed(problem, noise, self.samples, self.temperature).cheapest(self.refined)
        yield Candidate(best.plans[:, 0], best.costs[:, 0], iteration=0)
        descent = Descent(problem, best.plans, self.memory, self.lengths, self.first_step)
        for iteration in range(1, self.iterations + 1):
            descent.step()
            plan, cost = descent.best()
            yield Candidate(plan, cost, iteration)
