"""Small problems whose optimum is known, and ways to run planners on them."""

from collections.abc import Callable, Iterator
from itertools import islice

import pytest
import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Candidate, Planner, Problem
from grasp_bench.models.linear import LinearModel, linear_problem

MakeProblem = Callable[..., Problem]
Run = Callable[..., list[Candidate]]


class BentModel(LinearModel):
    """tanh of the linear model: gradients that depend on where they are taken."""

    def step(self, state, action):
        return torch.tanh(super().step(state, action))


@pytest.fixture
def make_problem() -> MakeProblem:
    """Problems of T steps with four latents and two action dimensions."""

    def make(batch=2, steps=3, bent=False, **options) -> Problem:
        return linear_problem(batch, steps, kind=BentModel if bent else LinearModel, **options)

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
