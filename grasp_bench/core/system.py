"""Describes the system that a trial runs on: versions, hardware, source revision."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from grasp_bench.core.compiler import compiler_version
from grasp_bench.core.version import __version__

# What decides a trial, of a source tree.
_CODE = ("grasp_bench", "envs", "checkpoints", "pyproject.toml", "constraints.txt")


@dataclass(frozen=True)
class System:
    """The columns of a results row that describe the system."""

    package_version: str
    git_commit: str | None
    python_version: str
    torch_version: str
    pymunk_version: str
    numpy_version: str
    cpu: str
    cores: int
    accelerator: str | None
    compiler: str | None


@cache
def describe_system(device: str) -> System:
    """Describes this system, as the process that plans on `device` sees it."""
    return System(
        package_version=__version__,
        git_commit=git_commit(Path(__file__).parents[2]),
        python_version=platform.python_version(),
        torch_version=version("torch"),
        pymunk_version=version("pymunk"),
        numpy_version=version("numpy"),
        cpu=_cpu_model(),
        cores=usable_cores(),
        accelerator=_accelerator(device),
        compiler=compiler_version(),
    )


def usable_cores() -> int:
    """Counts the CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _accelerator(device: str) -> str | None:
    if not device.startswith("cuda"):
        return None
    import torch

    # The process that drives a cluster may have none.
    return torch.cuda.get_device_name(device) if torch.cuda.is_available() else None


def git_commit(root: Path) -> str | None:
    """Returns a source tree's commit, marked where its code differs; None outside a checkout."""
    if not (root / ".git").exists():
        return None
    git = ["git", "--no-optional-locks"]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "HEAD"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        changes = subprocess.run(
            [*git, "diff", "--quiet", "HEAD", "--", *_CODE], cwd=root, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() + ("-dirty" if changes.returncode else "")


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Has torch use `count` threads: how sums are split over them decides their rounding."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
