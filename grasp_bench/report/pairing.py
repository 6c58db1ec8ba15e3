"""Two planners on the tasks that both have tried."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from grasp_bench.stats import (
    POWER,
    Interval,
    detectable_paired_difference,
    mcnemar_p_value,
    paired_difference_interval,
)

_BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Pairing:
    """A planner's success against another's.

    Attributes:
        tasks: that both have tried.
        p_value: exact McNemar test.
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
        """The smallest difference of success rates that the test finds four times out of five."""
        return detectable_paired_difference(self.tasks, self.discordance, power=POWER)


@dataclass(frozen=True)
class SignTest:
    """Which of two planners solves a task sooner; one that fails never does.

    Attributes:
        sooner: tasks that the planner solves before the other, or alone.
        later: tasks that the other solves before it, or alone.
        p_value: exact sign test, without the tasks that neither is first on.
    """

    sooner: int
    later: int
    p_value: float


def sign_test(trials: pd.DataFrame, other: pd.DataFrame) -> SignTest | None:
    """As `paired`, by the time to success in the place of success."""
    columns = ["task_id", "time_to_success"]
    pairs = trials[columns].merge(other[columns], on="task_id", suffixes=("", "_other"))
    if pairs.empty:
        return None
    one, two = (
        pairs[name].fillna(np.inf).to_numpy(dtype=np.float64)
        for name in ("time_to_success", "time_to_success_other")
    )
    sooner, later = one < two, one > two
    # Pairs of which exactly one is first are the discordant ones.
    return SignTest(int(sooner.sum()), int(later.sum()), mcnemar_p_value(sooner, later))


def paired(trials: pd.DataFrame, other: pd.DataFrame) -> Pairing | None:
    """The finished trials of a planner against those of another, None without a shared task."""
    columns = ["task_id", "success"]
    pairs = trials[columns].merge(other[columns], on="task_id", suffixes=("", "_other"))
    if pairs.empty:
        return None
    one, two = (pairs[name].to_numpy(dtype=bool) for name in ("success", "success_other"))
    return Pairing(
        tasks=len(pairs),
        p_value=mcnemar_p_value(one, two),
        change=float(one.mean() - two.mean()),
        difference=paired_difference_interval(one, two, np.random.default_rng(_BOOTSTRAP_SEED)),
        discordance=float((one != two).mean()),
    )
