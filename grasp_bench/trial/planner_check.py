"""Checks that a planner keeps the protocol, on problems whose optimum is known."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, cast, get_args

import torch
from torch import Tensor

from grasp_bench.core.errors import UserError, describe
from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.plugins import is_spec
from grasp_bench.core.types import Candidate, Planner, Problem, Reference
from grasp_bench.models.linear import LinearModel, linear_problem
from grasp_bench.planners import make_planner, planner_spec
from grasp_bench.planners.objective import goal_cost
from grasp_bench.trial.drive import candidates_of
from grasp_bench.trial.promises import BrokenPromiseError, Watch, expect

LONGEST, LONGEST_SEARCH = 60.0, 300.0  # seconds of a check, and of the one that searches
_LIMIT = 0.2  # of actions, where it is looked at whether they are kept
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


class _EndlessError(BrokenPromiseError):
    """A check took too long."""


class NotApplicableError(Exception):
    """A check has nothing to measure; the message says why."""


Check = Callable[[Planner], str]


def check_planner(name: str, overrides: Mapping[str, str]) -> Iterator[Finding]:
    """Yields one finding per check, as each is done, all in double precision on the CPU.

    A check that has no end is the last.

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
        "limits": _limits,
        "one step": _one_step,
        "latent shape": _latent_shape,
        "known optimum": _known_optimum,
    }
    for check, examine in checks.items():
        try:
            with _limited(LONGEST_SEARCH if check == "known optimum" else LONGEST):
                detail = examine(planner)
            yield Finding(check, True, detail)
        except NotApplicableError as reason:
            yield Finding(check, None, str(reason))
        except _EndlessError as reason:
            yield Finding(check, False, str(reason))
            return
        except UserError as reason:
            yield Finding(check, False, str(reason))
        except Exception as error:  # of the planner's own, whatever it is
            yield Finding(check, False, f"raises {describe(error)}")


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Ends what takes too long, where the system has alarms and this is the main thread.

    Raises:
        _EndlessError: it took too long.
    """
    can_wait = threading.current_thread() is threading.main_thread() and hasattr(
        signal, "setitimer"
    )
    if not can_wait:
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise _EndlessError(f"it has no end after {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _contract(planner: Planner, name: str, overrides: Mapping[str, str]) -> str:
    frozen = cast(Any, planner).__dataclass_params__.frozen
    expect(frozen, "its dataclass is not frozen, so a trial could change it")
    called = getattr(planner, "name", None)
    expect(is_spec(name) or called == name, f"its `name` is {called!r}, not '{name}' as registered")
    reference = getattr(planner, "reference", None)
    known = get_args(Reference)
    expect(reference in known, f"its `reference` is {reference!r}, not one of {', '.join(known)}")
    planner_spec(name, overrides)
    count = sum(field.init for field in fields(cast(Any, planner)))
    return f"frozen dataclass '{called}', {count} hyperparameters that come back from JSON"


def _candidates(planner: Planner) -> str:
    problem = _problem(planner, batch=3, steps=5)
    shown = _shown(planner, problem)
    counts = [candidate.iteration for candidate in shown]
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
    expect(largest <= ROUNDING, f"differs from the cost of a serial rollout by {largest:.1e}")
    return f"within {largest:.1e} of the cost of a serial rollout"


def _batching(planner: Planner) -> str:
    batch = _problem(planner, batch=4, steps=3)
    together, largest = _shown(planner, batch), 0.0
    for b in range(batch.batch):
        apart = _shown(planner, _only(batch, b), first_seed=b)
        pairs = zip(apart, together, strict=True)
        largest = max(largest, *(_difference(a.actions[0], c.actions[b]) for a, c in pairs))
    expect(
        largest <= ROUNDING, f"problems of a batch of {batch.batch} change plans by {largest:.1e}"
    )
    return f"plans alone and in a batch of {batch.batch} within {largest:.1e}"


def _determinism(planner: Planner) -> str:
    problem = _problem(planner, batch=2, steps=3)
    first, again = (_shown(planner, problem) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        same = torch.equal(a.actions, b.actions) and torch.equal(a.cost, b.cost)
        expect(same, f"one seed gives two plans, {_difference(a.actions, b.actions):.1e} apart")
    return f"one seed gives the same {len(first)} plans, bit for bit"


def _side_effects(planner: Planner) -> str:
    problem = _problem(planner, batch=2, steps=3)
    model = cast(LinearModel, problem.model)
    weights = [value for value in vars(model).values() if isinstance(value, Tensor)]
    before = [weight.clone() for weight in weights]
    asked = _asked(planner, problem, _noise(problem), CANDIDATES)
    shown = [(candidate.actions, candidate.actions.clone()) for candidate in asked]
    unchanged = all(torch.equal(x, y) for x, y in zip(weights, before, strict=True))
    expect(unchanged, "it changes the world model's weights")
    expect(all(torch.equal(x, y) for x, y in shown), "it changes plans it has shown")
    return "problem, model, plans shown and the process that it runs in are left alone"


def _limits(planner: Planner) -> str:
    problem = _problem(planner, batch=2, steps=3)
    low = torch.full_like(problem.start[0, : problem.model.action_dim], -_LIMIT)
    limited = replace(problem, limits=(low, -low))
    beyond = max(
        _difference(limited.project(candidate.actions), candidate.actions)
        for candidate in _shown(planner, limited)
    )
    if beyond > 0:
        raise NotApplicableError(
            f"plans leave the action limits by up to {beyond:.2g}: a trial moves them there"
        )
    return "plans stay within the action limits"


def _one_step(planner: Planner) -> str:
    problem = _problem(planner, batch=2, steps=1)
    shown = _shown(planner, problem)
    return f"{len(shown)} plans of one step, the best at a cost of {_best(shown).max():.1e}"


def _latent_shape(planner: Planner) -> str:
    largest = 0.0
    problems = [_problem(planner, 2, 3, latent_shape=shape) for shape in ((4,), (2, 2))]
    for flat, grid in zip(*(_shown(planner, problem) for problem in problems), strict=True):
        largest = max(largest, _difference(flat.actions, grid.actions))
    expect(largest <= ROUNDING, f"latents of 2 x 2 numbers change plans by {largest:.1e}")
    return f"plans for latents of 4 and of 2 x 2 numbers within {largest:.1e}"


def _known_optimum(planner: Planner) -> str:
    problem = _problem(planner, batch=2, steps=2)
    model = cast(LinearModel, problem.model)
    optimum = goal_cost(problem, model.optimum(problem.start, problem.goal, problem.steps))
    idle = goal_cost(problem, problem.start.new_zeros(2, 2, problem.model.action_dim))
    best, count = torch.full_like(idle, torch.inf), 0
    for candidate in _asked(planner, problem, _noise(problem), SEARCHED):
        best, count = best.minimum(goal_cost(problem, candidate.actions)), count + 1
        if (best - optimum <= NEAR_OPTIMUM * idle).all():
            break
    share = ((best - optimum) / idle).max().item()
    if count == 1 and share > NEAR_OPTIMUM:
        raise NotApplicableError(
            f"it does not search: one plan, at {share:.0%} of the cost of no action"
        )
    expect(
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


def _asked(
    planner: Planner, problem: Problem, noise: NoiseStreams, count: int
) -> Iterator[Candidate]:
    """Yields the first `count` candidates, each checked as in a trial; none may be NaN."""
    watch = Watch(problem)
    plans = candidates_of(planner, watch.problem, noise)
    for _ in range(count):
        candidate = watch.ask(lambda: next(plans, None))
        if candidate is None:
            break
        for name in ("actions", "cost"):
            tensor = getattr(candidate, name)
            expect(not tensor.requires_grad, f"`{name}` is not detached from the graph")
            expect(bool(tensor.isfinite().all()), f"`{name}` is not finite")
        yield candidate
    watch.end(plans.close)


def _shown(planner: Planner, problem: Problem, first_seed: int = 0) -> list[Candidate]:
    shown = list(_asked(planner, problem, _noise(problem, first_seed), CANDIDATES))
    expect(bool(shown), "it shows no plan at all")
    return shown


def _best(shown: list[Candidate]) -> Tensor:
    return torch.stack([candidate.cost for candidate in shown]).amin(dim=0)


def _difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()
