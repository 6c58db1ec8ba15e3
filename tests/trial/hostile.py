"""Planners and world models that break one promise each, in a file as a user would name it."""

import os
import random
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from grasp_bench import Candidate
from grasp_bench.models.linear import LinearModel
from grasp_bench.planners.objective import goal_cost

PLANNERS = {}


class StrangeError(BaseException):
    """Not even an Exception, and it cannot be printed."""

    def __str__(self):
        raise RuntimeError("no message")


def planner(name, word):
    """Makes a planner of a function that turns a fair candidate into what it yields.

    The broken promise is named by `word`.
    """

    def make(spoil):
        @dataclass(frozen=True)
        class Hostile:
            reference: ClassVar[str] = "none"

            def plan(self, problem, noise):
                for iteration in range(1, 9):
                    shape = problem.steps, problem.model.action_dim
                    actions = 0.1 * noise.normal(*shape, like=problem.start)
                    with torch.no_grad():
                        cost = goal_cost(problem, actions)
                    yield spoil(Candidate(actions, cost, iteration), problem)

        Hostile.name = name
        Hostile.__name__ = name
        PLANNERS[name] = word
        globals()[name] = Hostile
        return spoil

    return make


def raises(name, error, word):
    @planner(name, word)
    def spoil(candidate, problem):
        raise error


raises("runtime_error", RuntimeError("first\nsecond"), "RuntimeError: first")
raises("system_exit", SystemExit(0), "SystemExit")
raises("keyboard_interrupt", KeyboardInterrupt(), "KeyboardInterrupt")
raises("generator_exit", GeneratorExit(), "GeneratorExit")
raises("stop_iteration", StopIteration(), "StopIteration")
raises("strange", StrangeError(), "StrangeError")
raises("memory_error", MemoryError(), "MemoryError")
raises("surrogate", ValueError("a lone \udce9"), "lone")


@dataclass(frozen=True)
class nothing:  # noqa: N801
    name: ClassVar[str] = "nothing"
    reference: ClassVar[str] = "none"

    def plan(self, problem, noise):
        yield from ()


@dataclass(frozen=True)
class no_generator:  # noqa: N801
    name: ClassVar[str] = "no_generator"
    reference: ClassVar[str] = "none"

    def plan(self, problem, noise):
        return None


PLANNERS |= {"nothing": "plan", "no_generator": "NoneType"}
planner("none", "None")(lambda candidate, problem: None)
planner("mapping", "dict")(lambda candidate, problem: vars(candidate))


def changed(name, word, **change):
    """Makes a planner that changes the named parts of its candidates by functions."""

    @planner(name, word)
    def spoil(candidate, problem):
        made = {key: how(getattr(candidate, key)) for key, how in change.items()}
        return replace(candidate, **made)


changed("nan_plan", "finite", actions=lambda x: x * float("nan"))
changed("infinite_plan", "finite", actions=lambda x: x + float("inf"))
changed("long_plan", "shape", actions=lambda x: x.repeat(1, 7, 1))
changed("short_plan", "shape", actions=lambda x: x[:, :-1])
changed("empty_plan", "shape", actions=lambda x: x[:, :0])
changed("wide_plan", "shape", actions=lambda x: x.repeat(1, 1, 2))
changed("flat_plan", "shape", actions=lambda x: x.flatten())
changed("one_plan_too_many", "shape", actions=lambda x: x.repeat(2, 1, 1))
changed("list_plan", "list", actions=lambda x: x.tolist())
changed("array_plan", "ndarray", actions=lambda x: x.numpy())
changed("whole_numbers", "int64", actions=lambda x: x.long())
changed("complex_plan", "complex", actions=lambda x: x.to(torch.complex64))
changed("half_plan", "float16", actions=lambda x: x.half())
changed("meta_plan", "meta", actions=lambda x: x.to("meta"))
changed("sparse_plan", "sparse", actions=lambda x: x.to_sparse())
changed("nan_cost", "finite", cost=lambda x: x * float("nan"))
changed("cost_minus_one", "cost", cost=lambda x: torch.full_like(x, -1.0))
changed("half_the_cost", "cost", cost=lambda x: x / 2)
changed("boundless_cost", "finite", cost=lambda x: x - float("inf"))
changed("float_cost", "float", cost=lambda x: 0.0)
changed("column_of_costs", "shape", cost=lambda x: x[:, None])
changed("beyond_int64", "iteration", iteration=lambda x: 2**80)
changed("negative_iteration", "iteration", iteration=lambda x: -x)
changed("half_iteration", "iteration", iteration=lambda x: x / 2)
changed("backward_iteration", "back", iteration=lambda x: 100 - x)
changed("no_states", "virtual_states", virtual_states=lambda x: torch.zeros(1))


@planner("beyond_numbers", "rollout")
def _(candidate, problem):
    return replace(candidate, actions=candidate.actions + 3e38, cost=candidate.cost * 0 - 1)


@planner("goal_mover", "problem")
def _(candidate, problem):
    problem.goal.zero_()
    return replace(candidate, cost=goal_cost(problem, candidate.actions))


@planner("start_mover", "problem")
def _(candidate, problem):
    problem.start.data.copy_(problem.goal)
    return replace(candidate, cost=goal_cost(problem, candidate.actions))


@planner("brain_washer", "weights")
def _(candidate, problem):
    weights = getattr(problem.model, "parameters", lambda: [problem.model.control])()
    for weight in weights:
        weight.data.mul_(0.0)
    return replace(candidate, cost=goal_cost(problem, candidate.actions))


class Rewriter:
    last = None


@planner("rewriter", "shown")
def _(candidate, problem):
    if Rewriter.last is not None:
        Rewriter.last.add_(1.0)
    Rewriter.last = candidate.actions
    return candidate


def process(name, word):
    """Makes a planner that does something to its process, then shows a fair candidate."""

    def make(act):
        planner(name, word)(lambda candidate, problem: (act(), candidate)[1])

    return make


process("wanderer", "directory")(lambda: os.chdir("/"))
process("seeder", "random")(lambda: torch.manual_seed(torch.initial_seed() + 1))
process("numpy_seeder", "numpy")(lambda: np.random.rand())
process("python_seeder", "Python")(lambda: random.random())
process("threader", "thread")(lambda: torch.set_num_threads(torch.get_num_threads() + 1))
process("grad_switch", "gradient")(lambda: torch.set_grad_enabled(False))
process("dtype_switch", "dtype")(
    lambda: torch.set_default_dtype(
        torch.float64 if torch.get_default_dtype() == torch.float32 else torch.float32
    )
)
process("chatterbox", "characters")(lambda: print("x" * 600_000))


class Model(LinearModel):
    """A linear model in which subclasses break something."""

    def __init__(self, device):
        control = torch.zeros(4, 10)
        control[0, 0::2] = control[1, 1::2] = 20.0
        super().__init__(torch.eye(4), control)


def model(name, word, **parts):
    """Makes a factory of a world model with other parts; what is wrong is named by `word`."""
    MODELS[name] = word
    globals()[name] = type(name, (Model,), parts)


MODELS = {}
model("nan_encode", "encode", encode=lambda self, seen: seen.proprio * float("nan"))
model("nan_step", "step", step=lambda self, state, action: state * float("nan"))
model("flat_step", "step", step=lambda self, state, action: state.flatten())
model("raising_step", "StopIteration", step=lambda self, state, action: next(iter(())))
model("list_step", "list", step=lambda self, state, action: state.tolist())
model("whole_encode", "int64", encode=lambda self, seen: seen.proprio.long())
model("exiting_encode", "SystemExit", encode=lambda self, seen: exit(0))
model("scalar_distance", "distance", distance=lambda self, state, goal: state.sum())
model("idle_actions", "denormalise_actions", denormalise_actions=lambda self, actions: actions)
