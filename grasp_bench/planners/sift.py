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
from grasp_bench.planners.objective import goal_cost, goal_gradient
from grasp_bench.planners.search_space import FloatRange, IntRange, SearchSpace
from grasp_bench.planners.shared import RestartingPlanner


@dataclass(frozen=True)
class Sift(RestartingPlanner):
    """Looks widely, then closely: random plans that are smooth in time, the best of them refined.

        look:    a_n = σ ε_n,  ε AR(1) noise over environment steps with correlation ρ,
                 n = 1 .. N;  the K of lowest ‖s_T(a) - g‖² stay
        descend: J Adam steps on E_ξ ‖s_T(Π(a + σ_a ξ)) - g‖², ξ ~ N(0, I), from all that stay,
                 by one draw of ξ each, Π after each,  lr · (1 + cos(π j / J)) / 2 at step j
        sift:    R times on the way, evenly spaced, half of the plans go: those of the
                 highest running cost,  c ← m c + (1 - m) ‖s_T(Π(a + σ_a ξ)) - g‖²

    Π moves an action to the nearest one within the limits. White noise hardly moves the agent
    over many steps, and a plan that never touches the block has no gradient that says how to;
    a smooth plan crosses the table. A plan that is good only if every action is exact is good in
    the model and not in the world. The expectation over ξ (randomised smoothing, Duchi,
    Bartlett and Wainwright, 2012) is low only where plans nearby are good as well. The plan of
    the lowest running cost is costed without noise, and the best so costed is the candidate. A
    run ends with its descent, and the next one looks anew.

    Attributes:
        samples: N.
        correlation: ρ, of an environment step with the one before.
        sigma: σ, normalised action units.
        kept: K.
        iterations: J.
        lr: Adam's step size at first.
        halvings: R.
        action_noise: σ_a, normalised action units.
        memory: m.
    """  # noqa: RUF002

    name: ClassVar[str] = "sift"
    search_space: ClassVar[SearchSpace] = {
        "samples": IntRange(128, 2048),
        "correlation": FloatRange(0.2, 0.9, log=False),
        "kept": IntRange(8, 64),
        "iterations": IntRange(20, 200),
        "lr": FloatRange(0.02, 0.5),
        "action_noise": FloatRange(0.02, 0.3),
    }

    samples: int = 1024
    correlation: float = 0.6
    sigma: float = 1.0
    kept: int = 32
    iterations: int = 60
    lr: float = 0.1
    halvings: int = 2
    action_noise: float = 0.1
    memory: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("correlation", high=0.999)
        self.check_range("kept", high=self.samples)
        self.check_range("memory", high=0.999)

    def _run(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        plans, running = self._look(problem, noise)
        best = plans[:, 0].clone(), running[:, 0].clone()
        yield Candidate(*best, iteration=0)
        adam, pause = Adam(plans, self.lr), max(1, self.iterations // (self.halvings + 1))
        for iteration in range(1, self.iterations + 1):
            plans = adam.variable
            shaken = plans + self.action_noise * noise.normal(*plans.shape[1:], like=plans)
            costs, gradient = goal_gradient(problem, problem.project_(shaken))
            running.lerp_(costs, 1 - self.memory)
            best = cheaper(best, *_costed(problem, cheapest(plans, running, 1)[0]))
            yield Candidate(*best, iteration)
            adam.step(gradient, half_cosine((iteration - 1) / self.iterations))
            problem.project_(plans)
            if iteration % pause == 0 and iteration < self.iterations:
                places = running.topk(max(1, running.shape[1] // 2), largest=False).indices
                adam.keep(places)
                running = running.gather(1, places)
        yield Candidate(*cheaper(best, *_costed(problem, adam.variable)), self.iterations + 1)

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
            return cheapest(plans, goal_cost(problem, plans), self.kept)


def _costed(problem: Problem, plans: Tensor) -> tuple[Tensor, Tensor]:
    """Returns plans [B, N, T, A] and their costs [B, N]."""
    with torch.no_grad():
        return plans, goal_cost(problem, plans)


def cheaper(best: tuple[Tensor, Tensor], plans: Tensor, costs: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the cheapest of the best plan [B, T, A], of cost [B], and of plans [B, N, T, A]."""
    challenger, cost = (part[:, 0] for part in cheapest(plans, costs, 1))
    wins = cost < best[1]
    return torch.where(wins[:, None, None], challenger, best[0]), torch.where(wins, cost, best[1])
