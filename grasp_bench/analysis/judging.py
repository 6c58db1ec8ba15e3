"""Says what success means in a table: by which plan of a trial, and by which criterion."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from grasp_bench.analysis import Outcome
from grasp_bench.core.errors import UserError
from grasp_bench.run.failures import TIMES

_IN_MODEL = "the first criterion, by the states that the model predicts and its probe reads"


def all_criteria(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment's criteria and that of its model, by name with their rules."""
    return {**environment, "in_model": _IN_MODEL}


def criterion_column(name: str, default: str, outcome: Outcome) -> str:
    """Names the column of a success criterion of the environment, whose default has no suffix."""
    prefix = "" if outcome == "first" else "final_plan_"
    return f"{prefix}success" + ("" if name == default else f"_{name}")


def by_outcome(
    trials: pd.DataFrame, outcome: Outcome, criterion: str = "", default: str = ""
) -> pd.DataFrame:
    """Judges trials by their first success or by the final plan alone, by one criterion.

    A final plan has no time to success, so that those columns become null.

    Args:
        trials: of any planners.
        outcome: "first" judges the first plan that succeeded by the default criterion.
        criterion: of the environment; by default its default one.
        default: the name of that.

    Raises:
        UserError: some trials ended at their first success and have no final plan, or some
            do not record the criterion.
    """
    if outcome == "final-plan" and (trials["stop"] != "never").any():
        raise UserError("--outcome final-plan needs trials that ran to their budget: --stop never")
    column = criterion_column(criterion, default, outcome)
    if column == "success":
        return trials
    if column not in trials or trials[column][trials["status"] == "ok"].isna().any():
        raise UserError(f"not all of these trials record the criterion '{criterion}'")
    judged_by = trials.assign(success=trials[column])
    if outcome == "final-plan":
        judged_by[list(TIMES)] = np.nan
    else:
        held = judged_by["success"].fillna(False)
        judged_by[list(TIMES)] = judged_by[list(TIMES)].where(held)
    return judged_by
