"""What two runs of one planner differ in: one quantity, one test, one sentence.

Paired tests ask the same tasks of both runs. All are one-sided and asked in both
directions; a run held against a re-run of the same code is exchangeable with it, so each
test alarms no more often than it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from grasp_bench.stats import (
    Alternative,
    Interval,
    bootstrap_median_interval,
    mcnemar_p_value,
    paired_difference_interval,
)

# Fewer pairs than this cannot be told from chance by a signed-rank test at any usable level.
FEWEST_PAIRS = 8
_BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Quantity:
    """Something measured once per trial, null where it does not apply.

    Attributes:
        name: heads its rows of a table.
        kind: a share of tasks, a cost whose differences count, or a time whose ratios do.
        worse, better: predicates of a sentence.
        on: which tasks count.
    """

    name: str
    kind: Literal["share", "cost", "time"]
    worse: str
    better: str
    on: str = ""


SUCCESS = Quantity("success", "share", "solves fewer tasks", "solves more tasks")
BLIND_SUCCESS = Quantity(
    "blind success",
    "share",
    "commits to plans that solve fewer tasks",
    "commits to plans that solve more tasks",
)
GOAL_COST = Quantity(
    "realised goal cost",
    "cost",
    "commits to plans that end farther from the goal",
    "commits to plans that end closer to the goal",
)
TIME_TO_SUCCESS = Quantity(
    "time to success",
    "time",
    "takes longer to succeed",
    "succeeds sooner",
    " solved in both runs",
)
ITERATION_TIME = Quantity(
    "time per iteration", "time", "needs more time per iteration", "needs less time per iteration"
)
QUANTITIES = (SUCCESS, BLIND_SUCCESS, GOAL_COST, TIME_TO_SUCCESS, ITERATION_TIME)


class PValues(NamedTuple):
    """One-sided p-values of a change for the worse and for the better."""

    worse: float
    better: float


@dataclass(frozen=True)
class Change:
    """One quantity of one planner, before and after.

    Attributes:
        quantity: what was measured.
        tasks: pairs, or the smaller number of trials where nothing pairs.
        base, new: the share, or the median of costs or times.
        change: difference of shares, median difference of costs, median ratio of times.
        interval: 95% bootstrap interval of `change`, None where nothing pairs.
        detail: what went into it, for the sentence.
        test: unadjusted.
    """

    quantity: Quantity
    tasks: int
    base: float
    new: float
    change: float
    interval: Interval | None
    detail: str
    test: PValues

    @property
    def p_value(self) -> float:
        """Two-sided: of a change for the worse or for the better."""
        return min(1.0, 2 * min(self.test))


def paired_change(
    quantity: Quantity, base: np.ndarray, new: np.ndarray, margin: float
) -> Change | None:
    """The change of values [N] and [N] on the same tasks, None where too few apply.

    Args:
        quantity: see `Quantity.kind` for the test: exact McNemar or Wilcoxon's signed ranks.
        base, new: NaN where the quantity does not apply.
        margin: ratio up to which a longer time is not worse; 1 for a deterministic clock.
    """
    both = ~(np.isnan(base) | np.isnan(new))
    base, new = base[both], new[both]
    generator = np.random.default_rng(_BOOTSTRAP_SEED)
    if quantity.kind == "share":
        if not len(base):
            return None
        lost, won = int((base > new).sum()), int((new > base).sum())
        return Change(
            quantity,
            len(base),
            base.mean(),
            new.mean(),
            new.mean() - base.mean(),
            paired_difference_interval(new, base, generator),
            f"{new.sum():.0f} of {len(base)} instead of {base.sum():.0f}, "
            f"{lost} lost and {won} won",
            PValues(mcnemar_p_value(new, base, "less"), mcnemar_p_value(new, base, "greater")),
        )
    if len(base) < FEWEST_PAIRS:
        return None
    before, after, shift = _scaled(quantity, base, new, margin)
    difference = after - before
    low, high = bootstrap_median_interval(difference, generator)
    return _change(
        quantity,
        base,
        new,
        float(np.median(difference)),
        Interval(low, high),
        PValues(
            _signed_rank_p_value(difference - shift, "greater"),
            _signed_rank_p_value(difference + shift, "less"),
        ),
    )


def unpaired_change(
    quantity: Quantity, base: np.ndarray, new: np.ndarray, margin: float
) -> Change | None:
    """The change of values [N] and [M] on different tasks: Fisher's exact or Mann-Whitney's test.

    Arguments and result are those of `paired_change`.
    """
    from scipy.stats import fisher_exact, mannwhitneyu

    base, new = base[~np.isnan(base)], new[~np.isnan(new)]
    fewest = 1 if quantity.kind == "share" else FEWEST_PAIRS
    if min(len(base), len(new)) < fewest:
        return None
    if quantity.kind == "share":
        table = np.array([[new.sum(), (1 - new).sum()], [base.sum(), (1 - base).sum()]])
        return Change(
            quantity,
            min(len(base), len(new)),
            base.mean(),
            new.mean(),
            new.mean() - base.mean(),
            None,
            f"{new.sum():.0f} of {len(new)} instead of {base.sum():.0f} of {len(base)}",
            PValues(
                float(fisher_exact(table, alternative="less").pvalue),
                float(fisher_exact(table, alternative="greater").pvalue),
            ),
        )
    before, after, shift = _scaled(quantity, base, new, margin)
    return _change(
        quantity,
        base,
        new,
        float(np.median(after) - np.median(before)),
        None,
        PValues(
            float(mannwhitneyu(after - shift, before, alternative="greater").pvalue),
            float(mannwhitneyu(after + shift, before, alternative="less").pvalue),
        ),
    )


def _scaled(
    quantity: Quantity, base: np.ndarray, new: np.ndarray, margin: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Values whose differences count, and the difference that is not worse yet."""
    if quantity.kind == "time":
        return np.log(base), np.log(new), float(np.log(margin))
    return base, new, 0.0


def _change(
    quantity: Quantity,
    base: np.ndarray,
    new: np.ndarray,
    difference: float,
    interval: Interval | None,
    test: PValues,
) -> Change:
    """A change of costs or times; differences of times are of their logarithms."""
    tasks, before, after = min(len(base), len(new)), float(np.median(base)), float(np.median(new))
    if quantity.kind == "cost":
        detail = f"a median of {after:.3g} instead of {before:.3g}"
        return Change(quantity, tasks, before, after, difference, interval, detail, test)
    ratio = float(np.exp(difference))
    spread = None if interval is None else Interval(*map(float, np.exp(interval)))
    detail = f"{ratio:.2f} times as long on the {tasks} tasks{quantity.on}"
    return Change(quantity, tasks, before, after, ratio, spread, detail, test)


def _signed_rank_p_value(difference: np.ndarray, alternative: Alternative) -> float:
    from scipy.stats import wilcoxon

    return float(wilcoxon(difference, alternative=alternative).pvalue) if difference.any() else 1.0


def measures(trials: pd.DataFrame, over_reference: bool, timed: bool) -> pd.DataFrame:
    """Every quantity of every trial, by name, beside `horizon` and `task_id`.

    Args:
        trials: that ended without an error.
        over_reference: divide planner seconds by those of the reference workload, which was
            timed just before each trial, so that a machine's load at that time divides out too.
        timed: False for floors and ceilings, whose times mean nothing.
    """
    wall = trials["clock"] == "wall"
    reference = _numbers(trials["reference_seconds"]) if over_reference else 1.0
    seconds = _numbers(trials["planner_seconds"]).fillna(_numbers(trials["planner_time"])[wall])
    columns = {
        SUCCESS: _numbers(trials["success"]),
        BLIND_SUCCESS: _numbers(trials["blind_success"]),
        GOAL_COST: _numbers(trials["blind_cost_realised"]),
        TIME_TO_SUCCESS: _numbers(trials["time_to_success"]) / np.where(wall, reference, 1.0),
        ITERATION_TIME: seconds / _numbers(trials["iterations"]) / reference,
    }
    values = trials[["horizon", "task_id"]].copy()
    for quantity, column in columns.items():
        if quantity.kind == "time":
            # A ratio needs times above zero, which a coarse clock may not give.
            column = column.where(timed & (column > 0))
        values[quantity.name] = column
    if values[BLIND_SUCCESS.name].isna().any():
        # Trials that end at their first success commit to nothing: what is left is no sample.
        values[BLIND_SUCCESS.name] = np.nan
    return values


def _numbers(column: pd.Series) -> pd.Series:
    return column.astype("Float64").astype(np.float64)
