"""Says where results come from: commands, versions, hardware, hashes."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from grasp_bench.analysis.aggregate import BOUNDS
from grasp_bench.run.store import TRIALS_FILE

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
    "C compiler of kernels": "compiler",
    "device": "device",
    "torch threads a process": "threads",
    "worker processes": "workers",
}
PROVENANCE_COLUMNS = (
    *_VERSIONS.values(),
    *_HARDWARE.values(),
    "hyperparameters_source",
    "tuning_sha256",
    "planner_source",
    "model_source",
)
_HASHES = {"world model": ("model", "model_sha256"), "task set": ("tasks", "task_set_sha256")}


def origins(trials: pd.DataFrame, paths: Sequence[Path]) -> dict[str, dict[str, str]]:
    """Returns software versions, properties of the machines and hashes, by name."""

    def distinct(column: str) -> str:
        values = trials[column].unique()
        return ", ".join(sorted({"none" if pd.isna(value) else str(value) for value in values}))

    return {
        "Versions": {name: distinct(column) for name, column in _VERSIONS.items()},
        "Hardware": {name: distinct(column) for name, column in _HARDWARE.items()},
        "SHA-256": hashes(trials, paths),
    }


def hashes(trials: pd.DataFrame, paths: Sequence[Path]) -> dict[str, str]:
    """Returns the SHA-256 of weights, task sets, configurations and results files."""
    found = {}
    for kind, (name, digest) in _HASHES.items():
        for values in trials[[name, digest]].drop_duplicates().itertuples(index=False, name=None):
            found[f"{kind} {values[0]}"] = str(values[1])
    tuned = trials[["model", "tuning_sha256"]].drop_duplicates().dropna()
    for model, digest in tuned.itertuples(index=False, name=None):
        found[f"tuned hyperparameters {model}"] = str(digest)
    names = ["planner_label", "hyperparameters_sha256"]
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
    """Returns the sweeps that give these trials again.

    A sweep runs the first N tasks of every horizon, with one configuration a planner. Results
    of other shapes need several.
    """
    cells = (
        trials.assign(untuned=_untuned(trials))
        .groupby(["planner", "planner_label", "horizon", "untuned"], observed=True)["task_id"]
        .nunique()
        .reset_index(name="tasks")
    )
    sweeps: dict[tuple[bool, int, str, int], dict[str, str]] = {}
    keys = ["planner", "planner_label", "untuned", "tasks"]
    for (name, label, untuned, tasks), own in cells.groupby(keys, observed=True):
        grid = bool(untuned), int(str(tasks)), ",".join(map(str, own["horizon"]))
        place = 0
        while name in sweeps.get((*grid, place), ()):
            place += 1
        sweeps.setdefault((*grid, place), {})[str(name)] = str(label)
    settings = trials.iloc[0]
    names = trials[["planner_label", "hyperparameters"]].drop_duplicates("planner_label")
    hyperparameters = dict(names.astype(str).to_numpy())
    sources = dict(trials[["planner", "planner_source"]].drop_duplicates().astype(str).to_numpy())
    return [
        _sweep(
            settings,
            {
                sources[name]: _changed(name, label, hyperparameters[label])
                for name, label in planners.items()
            },
            horizons,
            tasks,
            untuned,
        )
        for (untuned, tasks, horizons, _), planners in sweeps.items()
    ]


def _untuned(trials: pd.DataFrame) -> pd.Series:
    """Tells whether a sweep needs --untuned to run each of the trials again."""
    tuned = (trials["hyperparameters_source"] == "tuned").fillna(False)
    return ~(tuned | trials["planner"].isin(BOUNDS)) if tuned.any() else ~tuned


def _changed(name: str, label: str, hyperparameters: str) -> dict[str, object]:
    """Reads from a label, name[key=value, key=value], what was set.

    A text may hold what the label is punctuated with, so that the values have to be known.
    """
    changed: dict[str, object] = {}
    rest = f"{label[len(name) + 1 : -1]}, ".removeprefix("untuned, ")
    for key, value in sorted(json.loads(hyperparameters).items()):
        if rest.startswith(setting := f"{key}={value}, "):
            changed[key] = value
            rest = rest.removeprefix(setting)
    return changed


def _sweep(
    settings: pd.Series,
    planners: dict[str, dict[str, object]],
    horizons: str,
    tasks: int,
    untuned: bool,
) -> str:
    words = ["grasp-bench", "sweep", "--planners", ",".join(planners)]
    for source, changed in planners.items():
        for key, value in changed.items():
            words += ["--set", f"{source}.{key}={value}"]
    words += ["--horizons", horizons, "--trials", str(tasks)]
    words += ["--untuned"] if untuned else []
    options = ["tasks", "model_source", "device", "clock", "budget", "max_iterations", "stop"]
    options += ["protocol", "replan_every", "batch"]
    for option in options:
        value = settings[option]
        option = option.removesuffix("_source")
        if not pd.isna(value):
            text = f"{value:g}" if isinstance(value, float) else str(value)
            text = text if not isinstance(value, float) or float(text) == value else str(value)
            words += [f"--{option.replace('_', '-')}", text]
    words += ["--seed", str(settings["master_seed"])]
    words += ["--threads", str(settings["threads"]), "--workers", str(settings["workers"])]
    return shlex.join(words)
