"""Where results come from: commands, versions, hardware, hashes."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from grasp_bench.report.rows import BOUNDS
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
PROVENANCE_COLUMNS = (
    *_VERSIONS.values(),
    *_HARDWARE.values(),
    "settings_source",
    "settings_sha256",
)
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
    tuned = trials[["model", "settings_sha256"]].drop_duplicates().dropna()
    for model, digest in tuned.itertuples(index=False, name=None):
        found[f"tuned settings {model}"] = str(digest)
    names = ["planner_label", "planner_config_sha256"]
    several = trials[names].drop_duplicates()["planner_label"].value_counts()
    for label, digest, horizon in (
        trials[[*names, "horizon"]].drop_duplicates().itertuples(index=False, name=None)
    ):
        where = f" at H={horizon}" if several[label] > 1 else ""
        found[f"configuration {label}{where}"] = str(digest)
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
        trials.assign(untuned=_untuned(trials))
        .groupby(["planner", "planner_label", "horizon", "untuned"], observed=True)["task_id"]
        .nunique()
        .reset_index(name="tasks")
    )
    grids: dict[tuple[bool, tuple[tuple[int, int], ...]], list[tuple[str, str]]] = {}
    keys = ["planner", "planner_label", "untuned"]
    for (name, label, untuned), own in cells.groupby(keys, observed=True):
        shape = tuple(
            sorted(zip(own["horizon"].astype(int), own["tasks"].astype(int), strict=True))
        )
        grids.setdefault((bool(untuned), shape), []).append((str(name), str(label)))
    settings = trials.iloc[0]
    return [
        _sweep(settings, planners, horizons, tasks, untuned)
        for (untuned, shape), labels in grids.items()
        for planners in _one_configuration_each(labels)
        for tasks, horizons in _by_tasks(shape).items()
    ]


def _untuned(trials: pd.DataFrame) -> pd.Series:
    """Whether a sweep needs --untuned to run each of the trials again."""
    tuned = trials["settings_source"] == "tuned"
    if not tuned.any():
        return ~tuned.fillna(False)
    return ~(tuned.fillna(False) | trials["planner"].isin(BOUNDS))


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
    settings: pd.Series,
    planners: dict[str, str],
    horizons: Sequence[int],
    tasks: int,
    untuned: bool,
) -> str:
    words = ["grasp-bench", "sweep", "--planners", ",".join(planners)]
    for name, label in planners.items():
        # The label names what was set, as name[key=value, key=value].
        changed = label[len(name) :].strip("[]")
        for setting in changed.split(", "):
            if "=" in setting:
                words += ["--set", f"{name}.{setting}"]
    words += ["--horizons", ",".join(map(str, horizons)), "--trials", str(tasks)]
    words += ["--untuned"] if untuned else []
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
