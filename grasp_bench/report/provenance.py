"""Where results come from: commands, versions, hardware, hashes."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from grasp_bench.results import TRIALS_FILE

_VERSIONS = {
    "grasp-bench": "package_version",
    "source revision": "git_commit",
    "Python": "python_version",
    "torch": "torch_version",
    "pymunk": "pymunk_version",
    "NumPy": "numpy_version",
    "evaluation protocol": "protocol_version",
}
_HARDWARE = {
    "CPU": "cpu",
    "cores": "cores",
    "accelerator": "accelerator",
    "device": "device",
    "torch threads a process": "threads",
    "worker processes": "workers",
}
PROVENANCE_COLUMNS = (*_VERSIONS.values(), *_HARDWARE.values())
_HASHES = {"world model": ("model", "model_sha256"), "task set": ("tasks", "task_set_sha256")}


def versions(trials: pd.DataFrame) -> dict[str, str]:
    """Software by name."""
    return {name: _distinct(trials, column) for name, column in _VERSIONS.items()}


def hardware(trials: pd.DataFrame) -> dict[str, str]:
    """Machines by property."""
    return {name: _distinct(trials, column) for name, column in _HARDWARE.items()}


def hashes(trials: pd.DataFrame, paths: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of weights, task set, every planner's configuration and every results file."""
    found = {}
    for kind, (name, digest) in _HASHES.items():
        for values in trials[[name, digest]].drop_duplicates().itertuples(index=False, name=None):
            found[f"{kind} {values[0]}"] = str(values[1])
    configurations = trials[["planner_label", "planner_config_sha256"]].drop_duplicates()
    for label, digest in configurations.itertuples(index=False, name=None):
        found[f"configuration {label}"] = str(digest)
    for path in paths:
        file = path / TRIALS_FILE if path.is_dir() else path
        if file.exists():
            found[f"file {file}"] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def commands(trials: pd.DataFrame) -> list[str]:
    """The sweeps that give these trials again.

    A sweep runs the first N tasks of every horizon, one configuration a planner: results
    that were put together otherwise need several.
    """
    cells = (
        trials.groupby(["planner", "planner_label", "horizon"], observed=True)["task_id"]
        .nunique()
        .reset_index(name="tasks")
    )
    grids: dict[tuple[tuple[int, int], ...], list[tuple[str, str]]] = {}
    for (name, label), own in cells.groupby(["planner", "planner_label"], observed=True):
        shape = tuple(
            sorted(zip(own["horizon"].astype(int), own["tasks"].astype(int), strict=True))
        )
        grids.setdefault(shape, []).append((str(name), str(label)))
    settings = trials.iloc[0]
    return [
        _sweep(settings, planners, horizons, tasks)
        for shape, labels in grids.items()
        for planners in _one_configuration_each(labels)
        for tasks, horizons in _by_tasks(shape).items()
    ]


def _by_tasks(shape: Sequence[tuple[int, int]]) -> dict[int, list[int]]:
    horizons: dict[int, list[int]] = {}
    for horizon, tasks in shape:
        horizons.setdefault(tasks, []).append(horizon)
    return horizons


def _one_configuration_each(labels: Sequence[tuple[str, str]]) -> Iterator[dict[str, str]]:
    left = list(labels)
    while left:
        chosen: dict[str, str] = {}
        for name, label in left:
            chosen.setdefault(name, label)
        left = [(name, label) for name, label in left if chosen[name] != label]
        yield chosen


def _sweep(
    settings: pd.Series, planners: dict[str, str], horizons: Sequence[int], tasks: int
) -> str:
    words = ["grasp-bench", "sweep", "--planners", ",".join(planners)]
    for name, label in planners.items():
        # The label names what differs from the defaults, as name[key=value, key=value].
        changed = label[len(name) :].strip("[]")
        for setting in filter(None, changed.split(", ")):
            words += ["--set", f"{name}.{setting}"]
    words += ["--horizons", ",".join(map(str, horizons)), "--trials", str(tasks)]
    options = ["tasks", "model", "device", "clock", "budget", "max_iterations", "stop"]
    options += ["protocol", "replan_every", "batch"]
    for option in options:
        value = settings[option]
        if not pd.isna(value):
            text = f"{value:g}" if isinstance(value, float) else str(value)
            words += [f"--{option.replace('_', '-')}", text]
    words += ["--seed", str(settings["master_seed"])]
    words += ["--threads", str(settings["threads"]), "--workers", str(settings["workers"])]
    return shlex.join(words)


def _distinct(trials: pd.DataFrame, column: str) -> str:
    values = sorted({"none" if pd.isna(value) else str(value) for value in trials[column].unique()})
    return ", ".join(values)
