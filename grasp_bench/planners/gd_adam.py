"""Adam on actions through the serial rollout, the later public form of the GD baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from grasp_bench.planners.base import check_numbers
from grasp_bench.planners.gd import GD
from grasp_bench.planners.search_space import Choice, FloatRange, IntRange, SearchSpace
from grasp_bench.types import Candidate, NoiseStreams, Problem, Reference


@dataclass(frozen=True)
class GDAdam:
    """`GD` whose steps are Adam's: of size `lr` at first, whatever the gradient's scale.

    DINO-WM (arXiv 2411.04983) takes plain steps; a later public version of the baseline takes
    these, with lr 0.2 to 0.3 and 100 to 300 iterations.

    Attributes:
        lr: Adam's step size.
        iterations: steps of one run, before a restart.
        action_noise: standard deviation of the noise, normalised action units.
        initial: first plan, standard normal or zero (normalised).
    """

    name: ClassVar[str] = "gd-adam"
    reference: ClassVar[Reference] = "none"
    search_space: ClassVar[SearchSpace] = {
        "lr": FloatRange(0.03, 1.0),
        "iterations": IntRange(30, 1000),
        "action_noise": FloatRange(0.001, 0.1),
        "initial": Choice(("normal", "zero")),
    }

    lr: float = 0.3
    iterations: int = 300
    action_noise: float = 0.003
    initial: Literal["normal", "zero"] = "normal"

    def __post_init__(self) -> None:
        check_numbers(self)

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """One candidate per step, without end."""
        descent = GD(self.lr, self.iterations, self.action_noise, self.initial, optimiser="adam")
        return descent.plan(problem, noise)
