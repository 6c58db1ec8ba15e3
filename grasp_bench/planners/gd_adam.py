"""Plans by Adam through the serial rollout, the later public form of the GD baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners.gd import GD
from grasp_bench.planners.search_space import Choice, FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner


@dataclass(frozen=True)
class GDAdam(RestartingPlanner):
    """Takes Adam's steps where `GD` takes plain ones: `lr` long at first, whatever the gradient.

    DINO-WM (arXiv 2411.04983) takes plain steps; a later public version of the baseline takes
    these, with lr 0.2 to 0.3 and 100 to 300 iterations.

    Attributes:
        lr: Adam's step size.
        iterations: steps of one run, before a restart.
        action_noise: standard deviation of the noise, normalised action units.
        initial: first plan, standard normal or zero (normalised).
        falling: lr falls to 0 along half a cosine while the run lasts.
        starts: runs of every problem at once, from plans of their own; the best is shown.
    """

    name: ClassVar[str] = "gd-adam"
    search_space: ClassVar[SearchSpace] = {
        "lr": FloatRange(0.03, 1.0),
        "iterations": IntRange(30, 1000),
        "action_noise": FloatRange(0.001, 0.1),
        "falling": Choice((False, True)),
        "starts": IntRange(1, 64),
    }

    lr: float = 0.3
    iterations: int = 300
    action_noise: float = 0.003
    initial: Literal["normal", "zero"] = "normal"
    falling: bool = False
    starts: int = 1

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        return GD(**asdict(self), optimiser="adam")._run(problem, noise)
