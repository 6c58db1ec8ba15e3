"""Every planner of the registry keeps its promises, and one that breaks one is told which."""

import random
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest
import torch

from grasp_bench import registry
from grasp_bench.objective import goal_cost
from grasp_bench.planner_check import check_planner
from grasp_bench.planners import PLANNERS
from grasp_bench.types import Candidate

CHECKS = [
    *("contract", "candidates", "cost", "batching", "determinism", "side effects"),
    *("one step", "latent shape", "known optimum"),
]


@pytest.mark.parametrize("name", PLANNERS.names())
def test_every_planner_of_the_registry_passes(name):
    findings = list(check_planner(name, {}))
    assert [finding.check for finding in findings] == CHECKS
    assert not [finding for finding in findings if finding.passed is False]
    searches = name not in ("zero", "random", "demo")
    assert findings[-1].passed or not searches


@dataclass(frozen=True)
class Sampling:
    """Keeps every promise: plans at random, one after another."""

    name: ClassVar[str] = "sampling"
    reference: ClassVar[str] = "none"

    def plan(self, problem, noise):
        for iteration in range(1, 100_000):
            yield self.candidate(problem, self.draw(problem, noise), iteration)

    def draw(self, problem, noise):
        return noise.normal(problem.steps, problem.model.action_dim, like=problem.start)

    def candidate(self, problem, actions, iteration):
        return Candidate(actions, goal_cost(problem, actions), iteration)


@dataclass
class Thawed:
    """Its hyperparameters can be changed."""

    name: ClassVar[str] = "sampling"
    reference: ClassVar[str] = "none"
    plan, draw, candidate = Sampling.plan, Sampling.draw, Sampling.candidate


@dataclass(frozen=True)
class Misnamed(Sampling):
    """Registered under another name than its own."""

    name: ClassVar[str] = "other"


@dataclass(frozen=True)
class Unrepeatable(Sampling):
    """JSON does not bring its hyperparameter back."""

    sizes: tuple[int, ...] = (1, 2)


class Silent(Sampling):
    """Shows nothing."""

    def plan(self, problem, noise):
        return iter(())


class OnePlanForAll(Sampling):
    """Forgets the batch."""

    def candidate(self, problem, actions, iteration):
        return replace(super().candidate(problem, actions, iteration), cost=torch.tensor(0.0))


class StillAttached(Sampling):
    """Leaves its candidates on the autograd graph."""

    def draw(self, problem, noise):
        return super().draw(problem, noise).requires_grad_()


class Hopeful(Sampling):
    """Claims to be cheaper than it is."""

    def candidate(self, problem, actions, iteration):
        return Candidate(actions, 0.5 * goal_cost(problem, actions), iteration)


class Averaging(Sampling):
    """Mixes the problems of a batch."""

    def draw(self, problem, noise):
        draws = super().draw(problem, noise)
        return draws - draws.mean(dim=0)


class Ambient(Sampling):
    """Draws from torch's own generator instead of its stream."""

    def draw(self, problem, noise):
        return torch.randn_like(super().draw(problem, noise))


class Nosy(Sampling):
    """Moves a global generator that it does not plan with."""

    def draw(self, problem, noise):
        random.random()
        return super().draw(problem, noise)


class Greedy(Sampling):
    """Writes on its problem."""

    def draw(self, problem, noise):
        problem.start.mul_(1.01)
        return super().draw(problem, noise)


class Rewriting(Sampling):
    """Goes on changing a plan it has shown."""

    def plan(self, problem, noise):
        actions = self.draw(problem, noise)
        for iteration in range(100):
            actions.add_(0.01)
            yield self.candidate(problem, actions, iteration)


class LongSighted(Sampling):
    """Needs a second step to plan with."""

    def draw(self, problem, noise):
        draws = super().draw(problem, noise)
        draws[:, 1] = 0
        return draws


class Flat(Sampling):
    """Takes latents for vectors."""

    def draw(self, problem, noise):
        batch, size = problem.start.shape
        return super().draw(problem, noise) + batch * size


class Idle(Sampling):
    """Builds its optimiser and never steps it."""

    def plan(self, problem, noise):
        actions = self.draw(problem, noise)
        for iteration in range(6000):
            yield self.candidate(problem, actions, iteration)


BROKEN = [
    (Thawed, "contract", "not frozen"),
    (Misnamed, "contract", "its `name` is 'other', not 'sampling'"),
    (Unrepeatable, "contract", "sampling: sizes cannot be set to '[1, 2]'"),
    (Silent, "candidates", "shows no plan at all"),
    (OnePlanForAll, "candidates", "`cost` has the shape (), not (3,)"),
    (StillAttached, "candidates", "`actions` is not detached"),
    (Hopeful, "cost", "differs from the cost of a serial rollout by"),
    (Averaging, "batching", "problems of a batch of 4 change plans by"),
    (Ambient, "determinism", "one seed gives two plans"),
    (Nosy, "side effects", "a global random generator"),
    (Greedy, "side effects", "changes the problem"),
    (Rewriting, "side effects", "changes plans it has shown"),
    (LongSighted, "one step", "raises IndexError"),
    (Flat, "latent shape", "raises ValueError: too many values to unpack"),
    (Idle, "known optimum", "of no action, where a plan of cost 0 exists"),
]


@pytest.fixture
def install(monkeypatch):
    """Makes a class of this module an installed planner, 'sampling'."""

    def install(cls):
        entry = EntryPoint("sampling", f"{__name__}:{cls.__name__}", "grasp_bench.planners")
        monkeypatch.setattr(registry, "entry_points", lambda group: [entry])

    return install


def test_a_plugin_that_keeps_its_promises_passes(install):
    install(Sampling)
    assert all(finding.passed for finding in check_planner("sampling", {}))


@pytest.mark.parametrize(("planner", "check", "sentence"), BROKEN)
def test_a_broken_promise_is_named(install, planner, check, sentence):
    install(planner)
    finding = next(f for f in check_planner("sampling", {}) if f.check == check)
    assert finding.passed is False
    assert sentence in finding.detail
    assert "\n" not in finding.detail


def test_the_command_says_it_line_by_line_and_with_its_exit_code(cli, refused, install):
    code, out, _ = cli("check-planner", "cem", "--set", "samples=40", "--set", "elites=8")
    assert code == 0
    assert [line[2:17].strip() for line in out.splitlines()] == CHECKS
    assert all(line.startswith("✓ ") for line in out.splitlines())
    code, out, _ = cli("check-planner", "zero")
    assert code == 0
    assert "- known optimum  it does not search" in out
    assert "did you mean 'cem'?" in refused("check-planner", "cme")
    install(Hopeful)
    code, out, _ = cli("check-planner", "sampling")
    assert code == 1
    assert "✗ cost" in out
