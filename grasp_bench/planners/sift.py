"""Plans by sift: samples many smooth plans, keeps few, and descends from those; no prior."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Problem
from grasp_bench.planners._numerics.adam import Adam
from grasp_bench.planners._numerics.coloured_noise import autoregressive_noise
from grasp_bench.planners.cem import cheapest
from grasp_bench.planners.gd import half_cosine
from grasp_bench.planners.objective import goal_cost, goal_gradient, population_cost
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner


@dataclass(frozen=True)
class Sift(RestartingPlanner):
    """Looks widely, then closely: random plans that are smooth in time, the best of them refined.

        look:    a_n = σ ε_n,  ε AR(1) noise over environment steps with correlation ρ,
                 n = 1 .. N;  the K of lowest ‖s_T(a) - g‖² stay
        descend: J Adam steps on ‖s_T(a) - g‖² from all that stay, Π after each,
                 lr · (1 + cos(π j / J)) / 2 at step j
        sift:    R times on the way, evenly spaced, the dearer half goes

    Π moves an action to the nearest one within the limits. White noise hardly moves the agent
    over many steps, and a plan that never touches the block has no gradient that says how to;
    a smooth plan crosses the table. The best plan ever costed is the candidate. A run ends with
    its descent, and the next one looks anew.

    Attributes:
        samples: N.
        correlation: ρ, of an environment step with the one before.
        sigma: σ, normalised action units.
        kept: K.
        iterations: J.
        lr: Adam's step size at first.
        halvings: R.
    """  # noqa: RUF002

    name: ClassVar[str] = "sift"
    search_space: ClassVar[SearchSpace] = {
        "samples": IntRange(128, 2048),
        "correlation": FloatRange(0.2, 0.9, log=False),
        "kept": IntRange(8, 64),
        "iterations": IntRange(20, 200),
        "lr": FloatRange(0.02, 0.5),
        "halvings": IntRange(1, 4, log=False),
    }

    samples: int = 1024
    correlation: float = 0.6
    sigma: float = 1.0
    kept: int = 32
    iterations: int = 60
    lr: float = 0.1
    halvings: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("correlation", high=0.999)
        self.check_range("kept", high=self.samples)

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        plans, costs = self._look(problem, noise)
        best = plans[:, 0].clone(), costs[:, 0].clone()
        yield Candidate(*best, iteration=0)
        adam, pause = Adam(plans, self.lr), max(1, self.iterations // (self.halvings + 1))
        for iteration in range(1, self.iterations + 1):
            costs, gradient = goal_gradient(problem, adam.variable)
            best = cheaper(best, adam.variable, costs)
            yield Candidate(*best, iteration)
            adam.step(gradient, half_cosine((iteration - 1) / self.iterations))
            problem.project_(adam.variable)
            if iteration % pause == 0 and iteration < self.iterations:
                count = max(1, costs.shape[1] // 2)
                adam.keep(costs.topk(count, largest=False).indices)
        with torch.no_grad():
            best = cheaper(best, adam.variable, goal_cost(problem, adam.variable))
        yield Candidate(*best, self.iterations + 1)

    def _look(self, problem: Problem, noise: NoiseStreams) -> tuple[Tensor, Tensor]:
        """Returns the K cheapest of N smooth plans [B, K, T, A] and their costs [B, K]."""
        skip = problem.model.frameskip
        width = problem.model.action_dim // skip
        draws = autoregressive_noise(
            noise, self.correlation, self.samples, problem.steps * skip, width, like=problem.start
        )
        plans = (self.sigma * draws).reshape(*draws.shape[:2], problem.steps, -1)
        problem.project_(plans)
        with torch.no_grad():
            return cheapest(plans, population_cost(problem, plans, self.kept), self.kept)


def cheaper(best: tuple[Tensor, Tensor], plans: Tensor, costs: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the cheapest of the best plan [B, T, A], of cost [B], and of plans [B, N, T, A]."""
    challenger, cost = (part[:, 0] for part in cheapest(plans, costs, 1))
    wins = cost < best[1]
    return torch.where(wins[:, None, None], challenger, best[0]), torch.where(wins, cost, best[1])
