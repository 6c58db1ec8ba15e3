"""Holds a planner to what it promises, while it plans.

A candidate has the problem's shape, type and device. The problem, the world model and the
process that the planner runs in stay as they were. What a planner does otherwise is put back
where that is possible, and raised: a trial counts only if its planner kept the protocol.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.plugins import Overheard
from grasp_bench.core.types import Candidate, Problem

PRINTED = 1_000_000  # characters at most in a planning
COST_TOLERANCE = 0.01  # of the cost that a planner claims, relative to that of a rollout
_MOST_ITERATIONS = 2**53  # what a table's floating-point numbers hold exactly


class BrokenPromiseError(UserError):
    """A planner does not do what the protocol says; the message says what instead."""


class Watch:
    """Watches over one planning: asks for candidates and sees that promises are kept.

    Attributes:
        problem: the planner's own copy of the problem.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = _copy(problem)
        self._given = problem
        self._iterations = 0
        self._shown: tuple[Tensor, Tensor] | None = None
        self._output = Overheard()

    def ask(self, next_candidate: Callable[[], Candidate | None]) -> Candidate | None:
        """Returns the next candidate, checked; None when the planner has ended.

        Raises:
            BrokenPromiseError: the candidate or what happened meanwhile breaks the protocol.
        """
        with self._guarded():
            candidate = next_candidate()
        self._check_shown()
        if candidate is not None:
            check_candidate(candidate, self._given)
            expect(
                candidate.iteration >= self._iterations,
                f"iterations go back: {candidate.iteration} after {self._iterations}",
            )
            self._iterations = candidate.iteration
            self._shown = candidate.actions, candidate.actions.detach().clone()
        return candidate

    def end(self, close: Callable[[], None]) -> None:
        """Ends the planning.

        Raises:
            BrokenPromiseError: the planner changed the problem.
        """
        with self._guarded():
            close()
        self._check_shown()
        pairs = zip(_tensors(self.problem), _tensors(self._given), strict=False)
        same = all(torch.equal(now, given) for now, given in pairs)
        expect(same, "it changes the problem it is given")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with (
            _surroundings_kept(self._given),
            _overheard(self._output),
            _exits_are_errors(),
            _forks_are_errors(),
        ):
            yield

    def _check_shown(self) -> None:
        if self._shown is not None:
            plan, as_it_was = self._shown
            same = torch.equal(plan.detach().nan_to_num(), as_it_was.nan_to_num())
            expect(same, "it changes a plan that it has shown")


def check_candidate(candidate: object, problem: Problem) -> None:
    """Checks the types and shapes of a candidate; plans and costs may be NaN.

    Raises:
        BrokenPromiseError: with what is wrong.
    """
    if not isinstance(candidate, Candidate):
        raise BrokenPromiseError(f"it yields {type(candidate).__name__}, not a Candidate")
    model, batch = problem.model, problem.batch
    actions = (batch, problem.steps, model.action_dim)
    _check_tensor("actions", candidate.actions, actions, problem.start)
    _check_tensor("cost", candidate.cost, (batch,), problem.start)
    if candidate.virtual_states is not None:
        states = (batch, problem.steps - 1, *model.latent_shape)
        _check_tensor("virtual_states", candidate.virtual_states, states, problem.start)
    iteration = candidate.iteration
    counts = isinstance(iteration, int) and not isinstance(iteration, bool)
    expect(counts, f"`iteration` is {type(iteration).__name__}, not an int")
    expect(
        0 <= iteration < _MOST_ITERATIONS, f"`iteration` is {iteration:.3g}, not a count of work"
    )


def check_costs(claimed: Tensor, found: Tensor, idle: Tensor) -> None:
    """Checks the costs [B] that a planner claims against those of a rollout [B].

    `idle` are the distances [B] of the starts to the goals, the scale of a cost.

    Raises:
        BrokenPromiseError: a claim is off by more than rounding explains.
    """
    # A rollout that gives NaN agrees with no claim.
    off = ~((claimed - found).abs() <= COST_TOLERANCE * (found.abs() + 0.01 * idle.abs()))
    if bool((off & claimed.isfinite()).any()):
        b = int(off.nonzero()[0])
        raise BrokenPromiseError(
            f"`cost` is {claimed[b].item():.4g} where a rollout of the model gives "
            f"{found[b].item():.4g}"
        )


def expect(kept: bool, otherwise: str) -> None:
    """Raises BrokenPromiseError, which says `otherwise`, unless a promise was kept."""
    if not kept:
        raise BrokenPromiseError(otherwise)


def _check_tensor(name: str, value: object, shape: tuple[int, ...], like: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise BrokenPromiseError(f"`{name}` is {type(value).__name__}, not a tensor")
    expect(tuple(value.shape) == shape, f"`{name}` has the shape {tuple(value.shape)}, not {shape}")
    expect(value.layout == torch.strided, f"`{name}` is {value.layout}, not a dense tensor")
    expect(value.device == like.device, f"`{name}` is on {value.device}, not on {like.device}")
    expect(value.dtype == like.dtype, f"`{name}` is {value.dtype}, not {like.dtype}")


def _copy(problem: Problem) -> Problem:
    reference = problem.reference_actions
    return replace(
        problem,
        start=problem.start.clone(),
        goal=problem.goal.clone(),
        reference_actions=None if reference is None else reference.clone(),
    )


def _tensors(problem: Problem) -> list[Tensor]:
    every = (problem.start, problem.goal, problem.reference_actions)
    return [tensor for tensor in every if tensor is not None]


@contextmanager
def _overheard(output: Overheard) -> Iterator[None]:
    with redirect_stdout(output), redirect_stderr(output):
        yield
    expect(output.printed <= PRINTED, f"it prints more than {PRINTED:,} characters")


@contextmanager
def _exits_are_errors() -> Iterator[None]:
    """Turns a planner's attempt to end the process into a broken promise; Ctrl-C is the user's."""
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        signal.default_int_handler(number, frame)

    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, interrupt) if is_main else None
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and interrupted:
            raise
        raise BrokenPromiseError(f"it raises {type(error).__name__}") from error
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


_forks = 0


def forks() -> int:
    """Counts how often Python code has forked this process."""
    return _forks


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_count_fork)


@contextmanager
def _forks_are_errors() -> Iterator[None]:
    """Ends the copy of this process that a planner makes: it would go on with the trial, too."""
    process, before = os.getpid(), forks()
    try:
        yield
    finally:
        if os.getpid() != process:
            os._exit(1)
    expect(forks() == before, "it forks the process that it runs in")


@contextmanager
def _surroundings_kept(problem: Problem) -> Iterator[None]:
    """Puts back what a planner changes of its process, and raises what that was."""
    before = _surroundings(problem)
    changed = "nothing"
    try:
        yield
    finally:
        for name, (value, _) in _surroundings(problem).items():
            then, put_back = before[name]
            if not _same(value, then):
                put_back(then)
                changed = name
    expect(changed == "nothing", f"it changes {changed} of the process it runs in")


def _surroundings(problem: Problem) -> dict[str, tuple[Any, Callable[[Any], object]]]:
    """Returns the state of the process, part by part, and what sets each part."""
    random_numbers = "the global random numbers (draw from `noise`)"
    found: dict[str, tuple[Any, Callable[[Any], object]]] = {
        "the working directory": (os.getcwd(), os.chdir),
        "the thread count": (torch.get_num_threads(), torch.set_num_threads),
        "the gradient mode": (torch.is_grad_enabled(), torch.set_grad_enabled),
        "the default dtype": (torch.get_default_dtype(), torch.set_default_dtype),
        random_numbers: (torch.get_rng_state(), torch.set_rng_state),
        f"{random_numbers} of numpy": (np.random.get_state(), np.random.set_state),
        f"{random_numbers} of Python": (random.getstate(), random.setstate),
    }
    if problem.start.is_cuda:
        device = problem.start.device
        state = torch.cuda.get_rng_state(device)
        found[f"{random_numbers} of CUDA"] = (
            state,
            lambda then: torch.cuda.set_rng_state(then, device),
        )
    return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, tuple) and any(isinstance(part, np.ndarray) for part in one):
        return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)
