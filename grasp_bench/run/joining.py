"""Joins results of several sources, if they share their settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from grasp_bench.core.errors import UserError
from grasp_bench.run.schema import identifying_columns
from grasp_bench.run.store import as_table, one_row_per_trial, read_results, to_frame

LABEL_COLUMNS = ("planner_label", "horizon", "hyperparameters_sha256", "tuning_sha256")


def join_results(
    frames: Sequence[pd.DataFrame], advice: str, paths: Sequence[Path] = ()
) -> pd.DataFrame:
    """Joins the trials of several results of the same settings, each once.

    Args:
        frames: as `read_results` gives them.
        advice: what to do with results of other settings.
        paths: where the frames were read.

    Raises:
        UserError: they differ in their settings, or hold two finished trials of one key that
            differ in anything.
    """
    trials = pd.concat(frames, keys=range(len(frames)))
    check_same_settings(trials, advice)
    return one_row_per_trial(trials, paths=paths)


def merge_results(paths: Sequence[Path]) -> pd.DataFrame:
    """Merges results, in the order of a results file; see `join_results`."""
    frames = [read_results(path) for path in paths]
    return to_frame([as_table(join_results(frames, "keep them in files of their own", paths))])


def check_same_settings(trials: pd.DataFrame, advice: str) -> None:
    """Raises UserError, with advice, where trials were not run under the same settings.

    In candidates, each planner may have a budget of its own.
    """
    for column in identifying_columns(bool(trials["model_file_sha256"].isna().all())):
        values = sorted(map(str, trials[column].unique()))
        if len(values) > 1 and not (column == "budget" and _budgets_are_the_planners(trials)):
            raise UserError(
                f"these results differ in {column} ({', '.join(values)}), so their numbers do "
                f"not compare: {advice}"
            )


def _budgets_are_the_planners(trials: pd.DataFrame) -> bool:
    """Tells whether budgets are candidates, and every planner has one."""
    by_planner = trials.groupby("planner_label", observed=True)["budget"].nunique()
    return bool((trials["clock"] == "iterations").all() and (by_planner == 1).all())


def check_labels(trials: pd.DataFrame, advice: str) -> None:
    """Raises UserError, with advice, where a label stands for different settings.

    Tuned settings may be others at every horizon, if they come from one file.
    """
    for label, own in trials[list(LABEL_COLUMNS)].drop_duplicates().groupby("planner_label"):
        files = own["tuning_sha256"].astype(object).fillna("").unique()
        one_meaning = own["hyperparameters_sha256"].nunique() == 1
        one_per_horizon = files[0] != "" and not own["horizon"].duplicated().any()
        if len(files) > 1 or not (one_meaning or one_per_horizon):
            raise UserError(
                f"'{label}' stands for different hyperparameters in these results, as its "
                f"defaults or tuned settings have changed between them: {advice}"
            )
