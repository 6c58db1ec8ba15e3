"""Checks that the trials of a sweep may join those that a run folder holds."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from grasp_bench.core.errors import UserError
from grasp_bench.core.plugins import is_spec
from grasp_bench.run.joining import LABEL_COLUMNS, check_labels
from grasp_bench.run.run_folder import RunFolder
from grasp_bench.run.schema import NAMES
from grasp_bench.run.sweep import Sweep
from grasp_bench.tasks import TaskSet
from grasp_bench.trial.outcome import criteria_columns, distance_columns


def check_prior(folder: RunFolder, sweep: Sweep, prior_sha256: str | None) -> None:
    """Raises UserError where the folder's trials of a sweep were planned with another prior."""
    others = set(finished_trials(folder, sweep.all_keys())["prior_sha256"].dropna()) - {
        prior_sha256
    }
    if others:
        raise UserError(
            f"'{folder.path}' holds trials with another action prior ({others.pop()[:12]}) than "
            f"the model has now ({str(prior_sha256)[:12]}): choose another --out"
        )


def check_names(sweep: Sweep) -> None:
    """Raises UserError where two planners of a sweep would have the same trial keys."""
    for specs in sweep.planners.values():
        sources: dict[str, str] = {}
        for spec in specs:
            other = sources.setdefault(spec.trial_key(""), spec.source)
            if other != spec.source:
                raise UserError(
                    f"'{other}' and '{spec.source}' are both named '{spec.name}' and have the same "
                    "hyperparameters: give one of them another name"
                )


def check_criteria(folder: RunFolder, task_sets: Mapping[int, TaskSet]) -> None:
    """Raises UserError where the folder's trials were judged by other criteria than now."""
    trials = folder.trials()
    environment = next(iter(task_sets.values())).environment
    now = {*criteria_columns(environment, None), *distance_columns(environment, None)}
    if trials is not None and (missing := now - set(trials.columns)):
        raise UserError(
            f"'{folder.path}' holds trials without the column '{min(missing)}', which the "
            "environment names now: choose another --out"
        )


def check_planner_files(folder: RunFolder, sweep: Sweep) -> None:
    """Raises UserError where the folder's trials are of other code than a planner's file holds."""
    trials = finished_trials(folder, sweep.all_keys())
    columns = ["planner", "planner_source", "planner_file_sha256"]
    rows = trials[columns].drop_duplicates().astype(object).to_numpy()
    for spec in {spec for specs in sweep.planners.values() for spec in specs}:
        # The file may have been named by another path.
        own = spec.source.rpartition(":")[2], spec.file_sha256
        stored = {(of.rpartition(":")[2], sha) for name, of, sha in rows if name == spec.name}
        if is_spec(spec.source) and stored - {own}:
            raise UserError(
                f"'{folder.path}' holds trials of '{spec.name}' by other code than '{spec.source}' "
                "holds now: choose another --out"
            )


def check_labelling(folder: RunFolder, sweep: Sweep) -> None:
    """Raises UserError where the folder labels hyperparameters otherwise than the sweep does."""
    trials = folder.trials()
    if trials is None:
        trials = pd.DataFrame(columns=NAMES)
    specs = {(spec, horizon) for horizon, specs in sweep.planners.items() for spec in specs}
    asked = pd.DataFrame(
        [(spec.label, h, spec.hyperparameters_sha256, spec.tuning_sha256) for spec, h in specs],
        columns=LABEL_COLUMNS,
    )
    same_label = trials[trials["planner_label"].isin(asked["planner_label"])]
    advice = "choose another --out"
    check_labels(pd.concat([same_label[list(LABEL_COLUMNS)].astype(object), asked]), advice)
    same_trial = trials["trial_key"].isin(sweep.all_keys())
    for label in set(trials["planner_label"][same_trial]) - set(asked["planner_label"]):
        raise UserError(
            f"'{folder.path}' holds trials with these hyperparameters as '{label}', which are "
            f"{', '.join(sorted(asked['planner_label']))} now: {advice}"
        )


def finished_trials(folder: RunFolder, keys: set[str]) -> pd.DataFrame:
    """Returns the folder's trials of these keys that ended without an error."""
    trials = folder.trials()
    if trials is None:
        return pd.DataFrame(columns=NAMES)
    return trials[trials["trial_key"].isin(keys) & (trials["status"] == "ok")]
