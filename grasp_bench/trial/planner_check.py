"""Checks that a planner keeps the protocol, on problems whose optimum is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any, cast, get_args

import numpy as np
import torch
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.plugins import is_spec
from grasp_bench.core.types import Candidate, Planner, Problem, Reference
from grasp_bench.models.linear import LinearModel, linear_problem
from grasp_bench.planners import make_planner, planner_spec
from grasp_bench.planners.objective import goal_cost

CANDIDATES = 12  # looked at by every check but the last
ROUNDING = 1e-8  # of plans and costs in double precision, near one
SEARCHED, NEAR_OPTIMUM = 5000, 0.05  # candidates, and the share of the cost of no action


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: its name.
        passed: None where the check does not apply.
        detail: the measured figure, or what is wrong.
    """

    check: str
    passed: bool | None
    detail: str


class BrokenPromiseError(Exception):
    """A planner does not do what the protocol says; the message says what instead."""


class NotApplicableError(Exception):
    """A check has nothing to measure; the message says why."""


Check = Callable[[Planner], str]


def check_planner(name: str, overrides: Mapping[str, str]) -> Iterator[Finding]:
    """Yields one finding per check, as each is done, all in double precision on the CPU.

    Raises:
        UserError: no such planner or hyperparameter.
    """
    planner = make_planner(name, overrides)
    checks: dict[str, Check] = {
        "contract": lambda planner: _contract(planner, name, overrides),
        "candidates": _candidates,
        "cost": _cost,
        "batching": _batching,
        "determinism": _determinism,
        "side effects": _side_effects,
        "one step": _one_step,
        "latent shape": _latent_shape,
        "known optimum": _known_optimum,
    }
    for check, examine in checks.items():
        try:
            yield Finding(check, True, examine(planner))
        except NotApplicableError as reason:
            yield Finding(check, None, str(reason))
        except (BrokenPromiseError, UserError) as reason:
            yield Finding(check, False, str(reason))
        except Exception as error:  # of the planner's own, whatever it is
            first, *_ = f"{error}".splitlines() or [""]
            yield Finding(check, False, f"raises {type(error).__name__}: {first}")


def _contract(planner: Planner, name: str, overrides: Mapping[str, str]) -> str:
    frozen = cast(Any, planner).__dataclass_params__.frozen
    _expect(frozen, "its dataclass is not frozen, so a trial could change it")
    called = getattr(planner, "name", None)
    _expect(
        is_spec(name) or called == name, f"its `name` is {called!r}, not '{name}' as registered"
    )
    reference = getattr(planner, "reference", None)
    known = get_args(Reference)
    _expect(reference in known, f"its `reference` is {reference!r}, not one of {', '.join(known)}")
    planner_spec(name, overrides)
    count = sum(field.init for field in fields(cast(Any, planner)))
    return f"frozen dataclass '{called}', {count} hyperparameters that come back from JSON"


def _candidates(planner: Planner) -> str:
    problem = _problem(planner, batch=3, steps=5)
    shown = _shown(planner, problem)
    for candidate in shown:
        _expect_shapes(candidate, problem)
    counts = [candidate.iteration for candidate in shown]
    _expect(counts == sorted(counts), f"iterations go back: {counts}")
    first = shown[0].actions
    return (
        f"{len(shown)} of shape {list(first.shape)}, {first.dtype}, on {first.device.type}, "
        f"iterations {counts[0]} to {counts[-1]}"
    )


def _cost(planner: Planner) -> str:
    problem = _problem(planner, batch=3, steps=5)
    largest = max(
        _difference(candidate.cost, goal_cost(problem, candidate.actions))
        for candidate in _shown(planner, problem)
    )
    _expect(largest <= ROUNDING, f"differs from the cost of a serial rollout by {largest:.1e}")
    return f"within {largest:.1e} of the cost of a serial rollout"


def _batching(planner: Planner) -> str:
    batch = _problem(planner, batch=4, steps=3)
    together, largest = _shown(planner, batch), 0.0
    for b in range(batch.batch):
        apart = _shown(planner, _only(batch, b), first_seed=b)
        pairs = zip(apart, together, strict=True)
        largest = max(largest, *(_difference(a.actions[0], c.actions[b]) for a, c in pairs))
    _expect(
        largest <= ROUNDING, f"problems of a batch of {batch.batch} change plans by {largest:.1e}"
    )
    return f"plans alone and in a batch of {batch.batch} within {largest:.1e}"


def _determinism(planner: Planner) -> str:
    problem = _problem(planner, batch=2, steps=3)
    first, again = (_shown(planner, problem) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        same = torch.equal(a.actions, b.actions) and torch.equal(a.cost, b.cost)
        _expect(same, f"one seed gives two plans, {_difference(a.actions, b.actions):.1e} apart")
    return f"one seed gives the same {len(first)} plans, bit for bit"


def _side_effects(planner: Planner) -> str:
    problem = _problem(planner, batch=2, steps=3)
    given = [x for x in (problem.start, problem.goal, problem.reference_actions) if x is not None]
    before, generators = [x.clone() for x in given], _global_generators()
    shown: list[tuple[Tensor, Tensor]] = []
    plans = planner.plan(problem, _noise(problem))
    for candidate in islice(plans, CANDIDATES):
        shown.append((candidate.actions, candidate.actions.clone()))
        _expect(torch.is_grad_enabled(), "it leaves torch's gradient mode off")
    unchanged = all(torch.equal(x, y) for x, y in zip(given, before, strict=True))
    _expect(unchanged, "it changes the problem it is given")
    _expect(all(torch.equal(x, y) for x, y in shown), "it changes plans it has shown")
    _expect(
        _global_generators() == generators,
        "it draws from a global random generator, so its trials do not repeat: use `noise`",
    )
    return "problem, plans shown, gradient mode and global random numbers are left alone"


def _one_step(planner: Planner) -> str:
    problem = _problem(planner, batch=2, steps=1)
    shown = _shown(planner, problem)
    for candidate in shown:
        _expect_shapes(candidate, problem)
    return f"{len(shown)} plans of one step, the best at a cost of {_best(shown).max():.1e}"


def _latent_shape(planner: Planner) -> str:
    largest = 0.0
    problems = [_problem(planner, 2, 3, latent_shape=shape) for shape in ((4,), (2, 2))]
    for flat, grid in zip(*(_shown(planner, problem) for problem in problems), strict=True):
        _expect_shapes(grid, problems[1])
        largest = max(largest, _difference(flat.actions, grid.actions))
    _expect(largest <= ROUNDING, f"latents of 2 x 2 numbers change plans by {largest:.1e}")
    return f"plans for latents of 4 and of 2 x 2 numbers within {largest:.1e}"


def _known_optimum(planner: Planner) -> str:
    problem = _problem(planner, batch=2, steps=2)
    model = cast(LinearModel, problem.model)
    optimum = goal_cost(problem, model.optimum(problem.start, problem.goal, problem.steps))
    idle = goal_cost(problem, problem.start.new_zeros(2, 2, problem.model.action_dim))
    best, count = torch.full_like(idle, torch.inf), 0
    for candidate in islice(planner.plan(problem, _noise(problem)), SEARCHED):
        best, count = best.minimum(goal_cost(problem, candidate.actions)), count + 1
        if (best - optimum <= NEAR_OPTIMUM * idle).all():
            break
    share = ((best - optimum) / idle).max().item()
    if count == 1 and share > NEAR_OPTIMUM:
        raise NotApplicableError(
            f"it does not search: one plan, at {share:.0%} of the cost of no action"
        )
    _expect(
        share <= NEAR_OPTIMUM,
        f"the best of {count} plans costs {share:.0%} of no action, where the optimum is 0",
    )
    return f"{share:.1%} of the cost of no action after {count} plans; the optimum is 0"


def _problem(
    planner: Planner, batch: int, steps: int, latent_shape: tuple[int, ...] = (4,)
) -> Problem:
    problem = linear_problem(batch, steps, latent_shape=latent_shape)
    return replace(problem, reference_actions=None) if planner.reference == "none" else problem


def _only(problem: Problem, b: int) -> Problem:
    reference = problem.reference_actions
    return replace(
        problem,
        start=problem.start[b : b + 1],
        goal=problem.goal[b : b + 1],
        reference_actions=None if reference is None else reference[b : b + 1],
    )


def _noise(problem: Problem, first_seed: int = 0) -> NoiseStreams:
    return NoiseStreams.from_seeds([first_seed + b for b in range(problem.batch)])


def _shown(planner: Planner, problem: Problem, first_seed: int = 0) -> list[Candidate]:
    shown = list(islice(planner.plan(problem, _noise(problem, first_seed)), CANDIDATES))
    _expect(bool(shown), "it shows no plan at all")
    return shown


def _expect_shapes(candidate: Candidate, problem: Problem) -> None:
    model, batch = problem.model, problem.batch
    expected = {
        "actions": (candidate.actions, (batch, problem.steps, model.action_dim)),
        "cost": (candidate.cost, (batch,)),
    }
    if candidate.virtual_states is not None:
        shape = (batch, problem.steps - 1, *model.latent_shape)
        expected["virtual_states"] = (candidate.virtual_states, shape)
    for name, (tensor, wanted) in expected.items():
        shape = tuple(tensor.shape)
        _expect(shape == wanted, f"`{name}` has the shape {shape}, not {wanted}")
        _expect(tensor.device == problem.start.device, f"`{name}` is on {tensor.device}")
        _expect(not tensor.requires_grad, f"`{name}` is not detached from the graph")
        _expect(bool(tensor.isfinite().all()), f"`{name}` is not finite")


def _best(shown: list[Candidate]) -> Tensor:
    return torch.stack([candidate.cost for candidate in shown]).amin(dim=0)


def _difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


def _global_generators() -> list[object]:
    # The position beside the key tells of every draw numpy makes.
    return [torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()]


def _expect(kept: bool, otherwise: str) -> None:
    if not kept:
        raise BrokenPromiseError(otherwise)
