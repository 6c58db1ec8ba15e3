"""Plans by samples of the action prior that the world model ranks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners.proposals import proposed
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner


@dataclass(frozen=True)
class PriorRerank(RestartingPlanner):
    """Takes the cheapest of N plans that the prior proposes, each step where the last one led.

        a_t ~ π(· | s_t, g, T - t),  s_{t+1} = F(s_t, a_t),   a ← argmin_n ‖s_T(a_n) - g‖²

    What the world model adds to the prior is the choice. Without a prior a_t ~ N(0, I), which
    is random shooting. Each population gives one candidate.

    Attributes:
        samples: N.
        temperature: of the prior.
    """

    name: ClassVar[str] = "prior-rerank"
    uses_prior: ClassVar[bool] = True
    search_space: ClassVar[SearchSpace] = {
        "samples": IntRange(8, 512),
        "temperature": FloatRange(0.3, 1.5),
    }

    samples: int = 64
    temperature: float = 1.0

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        best = proposed(problem, noise, self.samples, self.temperature).cheapest(1)
        yield Candidate(best.plans[:, 0], best.costs[:, 0], iteration=1)
