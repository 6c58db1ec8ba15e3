"""Every planner of the registry keeps its promises, and one that breaks one is told which."""

import random
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest
import torch

from grasp_bench.core import registry
from grasp_bench.core.types import Candidate
from grasp_bench.planners import PLANNERS
from grasp_bench.planners.objective import goal_cost
from grasp_bench.trial import planner_check
from grasp_bench.trial.planner_check import SEARCHED, check_planner

CHECKS = [
    *("contract", "candidates", "cost", "batching", "determinism", "side effects"),
    *("limits", "one step", "latent shape", "known optimum"),
]


@pytest.mark.parametrize("name", PLANNERS.names())
def test_every_planner_of_the_registry_passes(name):
    findings = list(check_planner(name, {}))
    assert [finding.check for finding in findings] == CHECKS
    assert not [finding for finding in findings if finding.passed is False]
    searches = name not in ("prior-mean", "zero", "random", "shuffled-demo", "demo")
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


@dataclass(frozen=True)
class Unreadable(Sampling):
    """No command line could set its hyperparameter, nor a worker that builds it again."""

    size: "int | float" = 1


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
    (Thawed, "contract", "frozen"),
    (Misnamed, "contract", "'other'"),
    (Unrepeatable, "contract", "sizes=(1, 2)"),
    (Unreadable, "contract", "size"),
    (Silent, "candidates", ""),
    (OnePlanForAll, "candidates", "(3,)"),
    (StillAttached, "candidates", "`actions`"),
    (Hopeful, "cost", ""),
    (Averaging, "batching", "batch of 4"),
    (Ambient, "determinism", ""),
    (Nosy, "side effects", "`noise`"),
    (Greedy, "side effects", "problem"),
    (Rewriting, "side effects", "has shown"),
    (LongSighted, "one step", "IndexError"),
    (Flat, "latent shape", "ValueError"),
    (Idle, "known optimum", f"{SEARCHED} plans"),
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
    assert all(f.passed for f in check_planner("sampling", {}) if f.check != "limits")


@pytest.mark.parametrize(("planner", "check", "named"), BROKEN)
def test_a_broken_promise_is_named(install, planner, check, named):
    install(planner)
    finding = next(f for f in check_planner("sampling", {}) if f.check == check)
    assert finding.passed is False
    assert named in finding.detail
    assert "\n" not in finding.detail


def test_a_planner_without_an_end_ends_the_check_and_not_the_command(install, monkeypatch):
    class Endless(Sampling):
        def plan(self, problem, noise):
            while True:
                pass
            yield

    monkeypatch.setattr(planner_check, "LONGEST", 0.2)
    monkeypatch.setattr(planner_check, "make_planner", lambda name, overrides: Endless())
    findings = list(check_planner("sampling", {}))
    assert [finding.check for finding in findings] == ["contract", "candidates"]
    assert findings[-1].passed is False
    assert "no end after 0.2 seconds" in findings[-1].detail


def test_plans_beyond_the_limits_are_said_and_no_fault(install):
    install(Sampling)
    finding = next(f for f in check_planner("sampling", {}) if f.check == "limits")
    assert finding.passed is None
    assert "leave the action limits" in finding.detail


def test_the_command_says_it_line_by_line_and_with_its_exit_code(cli, refused, install):
    code, out, _ = cli("check-planner", "cem", "--set", "samples=40", "--set", "elites=8")
    assert code == 0
    assert [line[2:17].strip() for line in out.splitlines()] == CHECKS
    assert all(line.startswith("✓ ") for line in out.splitlines())
    code, out, _ = cli("check-planner", "zero")
    assert code == 0
    assert out.splitlines()[-1].startswith("- known optimum")
    assert "'cem'" in refused("check-planner", "cme")
    install(Hopeful)
    code, out, _ = cli("check-planner", "sampling")
    assert code == 1
    assert "✗ cost" in out


@pytest.mark.parametrize(("cls", "code"), [("Sampling", 0), ("Averaging", 1)])
def test_a_planner_in_a_file_is_checked_as_one_that_is_installed(cli, cls, code):
    checked = cli("check-planner", f"{__file__}:{cls}")
    assert checked[0] == code
    assert [line[2:17].strip() for line in checked[1].splitlines() if line[0] in "✓✗-"] == CHECKS
    assert ("✗ batching" in checked[1]) == bool(code)
