"""Small problems whose optimum is known, and ways to run planners on them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import pytest
import torch

from grasp_bench.models.linear import LinearModel
from grasp_bench.rollout import last_state
from grasp_bench.types import Candidate, NoiseStreams, Planner, Problem

LATENT, FRAMESKIP = 4, 1

MakeProblem = Callable[..., Problem]
Run = Callable[..., list[Candidate]]


class BentModel(LinearModel):
    """tanh of the linear model: gradients that depend on where they are taken."""

    def step(self, state, action):
        return torch.tanh(super().step(state, action))


class FoldedModel(BentModel):
    """The same model with its latent as a [2, 2] grid, as patch features have."""

    def __init__(self, transition, control):
        super().__init__(transition, control)
        self.latent_shape = (2, 2)

    def step(self, state, action):
        return super().step(state.flatten(-2), action).unflatten(-1, (2, 2))

    def distance(self, state, goal):
        return super().distance(state.flatten(-2), goal.flatten(-2))


@pytest.fixture
def fold():
    """The same problem with grids for latents."""

    def folded(problem: Problem) -> Problem:
        model = FoldedModel(problem.model.transition, problem.model.control)
        start, goal = (x.unflatten(-1, (2, 2)) for x in (problem.start, problem.goal))
        return replace(problem, model=model, start=start, goal=goal)

    return folded


@pytest.fixture
def make_problem() -> MakeProblem:
    """Problems of T steps with four latents and two action dimensions.

    Goals are where the reference actions lead, or anywhere when they need not be reachable.
    """

    def make(batch=2, steps=3, bent=False, reachable=True, dtype=torch.float64) -> Problem:
        generator = torch.Generator().manual_seed(7)

        def normal(*shape):
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

        rotation, _ = torch.linalg.qr(normal(LATENT, LATENT))
        kind = BentModel if bent else LinearModel
        control, _ = torch.linalg.qr(normal(LATENT, 2 * FRAMESKIP))
        model = kind(0.9 * rotation, control)
        start, elsewhere = normal(8, LATENT)[:batch], normal(8, LATENT)[:batch]
        reference = normal(8, steps, model.action_dim)[:batch]
        goal = last_state(model, start, reference) if reachable else elsewhere
        return Problem(model, start, goal, steps, reference)

    return make


@pytest.fixture
def run() -> Run:
    """The candidates of a planner up to and including an iteration."""

    def candidates(planner: Planner, problem: Problem, upto=10, seed=0) -> list[Candidate]:
        noise = NoiseStreams.from_seeds([seed + b for b in range(problem.batch)])
        plans: Iterator[Candidate] = planner.plan(problem, noise)
        shown: list[Candidate] = []
        for candidate in islice(plans, upto + 10):
            shown.append(candidate)
            if candidate.iteration >= upto:
                break
        return shown

    return candidates
