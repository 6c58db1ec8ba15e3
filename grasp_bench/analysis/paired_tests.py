"""Compares two planners on the tasks that both have tried."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from grasp_bench.analysis.stats import (
    Interval,
    bootstrap_median_interval,
    detectable_paired_difference,
    mcnemar_p_value,
    paired_difference_interval,
)
from grasp_bench.core.types import FloatArray

# The signed-rank test of fewer pairs has no power at any usable level.
FEWEST_PAIRS = 8
_BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Pairing:
    """Compares a planner's success with another's.

    Attributes:
        tasks: that both have tried.
        p_value: of the exact McNemar test.
        change: its success rate minus the other's, on these tasks.
        difference: 95% bootstrap interval of that.
        discordance: share of the tasks that only one of the two solves.
    """

    tasks: int
    p_value: float
    change: float
    difference: Interval
    discordance: float

    @property
    def detectable(self) -> float:
        """The smallest difference of success rates that the test finds with usual power."""
        return detectable_paired_difference(self.tasks, self.discordance)


@dataclass(frozen=True)
class SignTest:
    """Says which of two planners solves tasks sooner; one that fails never does.

    Attributes:
        sooner: tasks that the planner solves before the other, or alone.
        later: tasks that the other solves before it, or alone.
        p_value: of the exact sign test, without the tasks that neither is first on.
    """

    sooner: int
    later: int
    p_value: float


@dataclass(frozen=True)
class CostChange:
    """Compares a planner's realised goal cost with another's.

    Attributes:
        change: median over tasks of its cost minus the other's.
        interval: 95% bootstrap interval of that.
        p_value: two-sided, of Wilcoxon's signed ranks.
    """

    change: float
    interval: Interval
    p_value: float


def paired(trials: pd.DataFrame, other: pd.DataFrame) -> Pairing | None:
    """Tests the judged trials of two planners for success; None without a shared task."""
    one, two = (values == 1 for values in _pairs(trials, other, "success"))
    if not len(one):
        return None
    return Pairing(
        tasks=len(one),
        p_value=mcnemar_p_value(one, two),
        change=float(one.mean() - two.mean()),
        difference=paired_difference_interval(one, two, np.random.default_rng(_BOOTSTRAP_SEED)),
        discordance=float((one != two).mean()),
    )


def paired_times(trials: pd.DataFrame, other: pd.DataFrame) -> SignTest | None:
    """Tests which of two planners solves tasks sooner; None without a shared task."""
    one, two = (np.nan_to_num(t, nan=np.inf) for t in _pairs(trials, other, "time_to_success"))
    if not len(one):
        return None
    sooner, later = one < two, one > two
    # The tasks on which exactly one is first are the discordant pairs of McNemar's test.
    return SignTest(int(sooner.sum()), int(later.sum()), mcnemar_p_value(sooner, later))


def paired_costs(trials: pd.DataFrame, other: pd.DataFrame) -> CostChange | None:
    """Tests by how much realised goal costs differ; None with too few shared tasks.

    A trial without a plan has the highest cost of both, so that none is left out.
    """
    one, two = _pairs(trials, other, "final_plan_cost_realised")
    costs = np.concatenate([one, two])
    if len(one) < FEWEST_PAIRS or np.isnan(costs).all():
        return None
    one, two = (np.nan_to_num(cost, nan=np.nanmax(costs)) for cost in (one, two))
    difference = one - two
    return CostChange(
        float(np.median(difference)),
        bootstrap_median_interval(difference, np.random.default_rng(_BOOTSTRAP_SEED)),
        float(wilcoxon(difference).pvalue) if difference.any() else 1.0,
    )


def _pairs(trials: pd.DataFrame, other: pd.DataFrame, name: str) -> tuple[FloatArray, FloatArray]:
    """Returns a column's values [N] and [N] on the shared tasks; NaN where there is none."""
    # A merge of the two frames takes ten times as long.
    place = pd.Index(other["task_id"]).get_indexer(pd.Index(trials["task_id"]))
    one, two = (frame[name].to_numpy(np.float64, na_value=np.nan) for frame in (trials, other))
    return one[place >= 0], two[place[place >= 0]]
