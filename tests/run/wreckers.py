"""Planners that end, hang or fill their process."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import ClassVar

import torch

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
