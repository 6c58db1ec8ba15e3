"""Plans without search: takes the mean of the action prior, step after step in the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem, Reference
from grasp_bench.planners.proposals import chooser, chosen


@dataclass(frozen=True)
class PriorMean:
    """Takes a_t = E π(· | s_t, g, T - t), s_{t+1} = F(s_t, a_t): the floor of its track.

    It is the open-loop form of a goal-conditioned inverse dynamics policy (GC-IDM, arXiv
    2605.08732), which takes the action that leads to the goal and does not search. The mean is
    taken over samples of temperature 0, so over the means of a mixture. Without a prior it is
    the mean of standard normal actions. The one candidate is all there is.

    Attributes:
        samples: that the mean is taken over.
    """

    name: ClassVar[str] = "prior-mean"
    reference: ClassVar[Reference] = "none"
    uses_prior: ClassVar[bool] = True

    samples: int = 256

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UserError(f"{self.name}: samples must be at least 1, not {self.samples}")

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """Yields one candidate."""
        sample = chooser(problem, noise, self.samples, 0.0)

        def mean(t: int, state: Tensor) -> Tensor:
            repeated = state.expand(-1, self.samples, *state.shape[2:])
            return sample(t, repeated).mean(dim=1, keepdim=True)

        plan = chosen(problem, 1, mean)
        yield Candidate(plan.plans[:, 0], plan.costs[:, 0], iteration=0)
