"""Planners that end, hang, fill or copy their process, and a world model that does on demand."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import ClassVar

import torch

from grasp_bench.models.linear import LinearModel
from grasp_bench.planners.shared import evaluated, no_action


@dataclass(frozen=True)
class Fair:
    """Does nothing, once."""

    name: ClassVar[str] = "fair"
    reference: ClassVar[str] = "none"

    def plan(self, problem, noise):
        self.wreck(problem)
        yield evaluated(problem, no_action(problem), 0)

    def wreck(self, problem):
        pass


@dataclass(frozen=True)
class Leaver(Fair):
    name: ClassVar[str] = "leaver"

    def wreck(self, problem):
        os._exit(3)


@dataclass(frozen=True)
class Killed(Fair):
    name: ClassVar[str] = "killed"

    def wreck(self, problem):
        os.kill(os.getpid(), 9)


@dataclass(frozen=True)
class Sleeper(Fair):
    """Never yields, and leaves a child behind that would outlive it."""

    name: ClassVar[str] = "sleeper"
    mark: str = "grasp-bench-sleeper"

    def wreck(self, problem):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", self.mark])
        while True:
            time.sleep(1)


@dataclass(frozen=True)
class Hoarder(Fair):
    name: ClassVar[str] = "hoarder"

    def wreck(self, problem):
        kept = []
        while True:
            kept.append(torch.ones(2**24))  # 64 MiB
            time.sleep(0.01)


@dataclass(frozen=True)
class Once(Fair):
    """Kills its first worker and no other."""

    name: ClassVar[str] = "once"
    mark: str = "mark"

    def wreck(self, problem):
        try:
            os.close(os.open(self.mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), 9)


@dataclass(frozen=True)
class Forker(Fair):
    """Copies its process, and both go on."""

    name: ClassVar[str] = "forker"

    def wreck(self, problem):
        os.fork()


class Bad(LinearModel):
    """A model that is fair until a plan holds nothing but the number of a fault."""

    def __init__(self, device):
        control = torch.zeros(4, 10)
        control[0, 0::2] = control[1, 1::2] = 20.0
        super().__init__(torch.eye(4), control)
        self.kept, self.forked = None, False

    def step(self, state, action):
        if self.kept is not None:
            self.kept.add_(0.5)
            self.kept = None
        after = super().step(state, action)
        for number, fault in enumerate(FAULTS, 1):
            if (action - number / 100).abs().max() < 1e-4:
                after = getattr(self, fault)(action, after)
        return after

    def model_hangs(self, action, after):
        while True:
            time.sleep(1)

    def model_nan(self, action, after):
        return after * float("nan")

    def model_shape(self, action, after):
        return after.flatten()

    def model_mutates(self, action, after):
        self.kept = action
        return after

    def model_hoards(self, action, after):
        Hoarder().wreck(None)

    def model_kills(self, action, after):
        os.kill(os.getpid(), 9)

    def model_forks(self, action, after):
        if not self.forked:
            self.forked = True
            os.fork()
        return after


FAULTS = (
    "model_hangs", "model_nan", "model_shape", "model_mutates", "model_hoards", "model_kills",
    "model_forks",
)  # fmt: skip


@dataclass(frozen=True)
class Asking(Fair):
    """Shows the plan that makes the model do it, twice."""

    number: int = 0

    def plan(self, problem, noise):
        for iteration in (1, 2):
            actions = no_action(problem) + self.number / 100
            yield evaluated(problem, actions, iteration)


for number, fault in enumerate(FAULTS, 1):
    fields = {
        "name": fault,
        "number": number,
        "__annotations__": {"name": ClassVar[str], "number": int},
    }
    globals()[fault] = dataclass(frozen=True)(type(fault, (Asking,), fields))


class Deadly(Bad):
    """A model that kills whoever tries it."""

    def step(self, state, action):
        os._exit(5)


class Endless(Bad):
    def step(self, state, action):
        return self.model_hangs(action, state)
