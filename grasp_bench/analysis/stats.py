"""Computes the intervals, tests and survival curves that the evaluation protocol names."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import CensoredData, binomtest, ecdf

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
POWER = 0.8
RESAMPLES = 2000

Alternative = Literal["two-sided", "less", "greater"]


class Interval(NamedTuple):
    """Holds a 95% confidence interval."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int) -> Interval:
    """Returns Wilson's score interval of a success probability, without continuity correction.

    Raises:
        ValueError: not 0 <= successes <= trials with at least one trial.
    """
    interval = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(interval.low), float(interval.high))


# The two bootstraps below draw from the exact distribution of a resample. `scipy.stats.bootstrap`
# draws 2,000 resamples of N values: a cell of 20,000 trials takes it 0.5 s and 300 MB, not 5 ms.


def bootstrap_median_interval(
    values: ArrayLike, generator: np.random.Generator, resamples: int = RESAMPLES
) -> Interval:
    """Returns the percentile bootstrap interval of the median of values [N], N >= 1.

    The ranks of a resample are N independent uniform draws. Their middle order statistics
    follow Beta distributions, which this function draws from.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = len(ordered)
    lower = (count + 1) // 2
    rank = generator.beta(lower, count + 1 - lower, size=resamples)
    medians = _at_rank(ordered, rank)
    if count % 2 == 0:
        # The upper middle value is the smallest of the count - lower draws above the lower one.
        upper = rank + (1 - rank) * generator.beta(1, count - lower, size=resamples)
        medians = (medians + _at_rank(ordered, upper)) / 2
    return _percentiles(medians)


def paired_difference_interval(
    first: ArrayLike,
    second: ArrayLike,
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Interval:
    """Returns the bootstrap interval of the difference of two means on the same tasks.

    Takes outcomes [N] and [N]. It resamples tasks, which keeps the pairs together.
    """
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    values, counts = np.unique(difference, return_counts=True)
    # Each value is drawn a multinomial number of times; success has three values at most.
    draws = generator.multinomial(len(difference), counts / len(difference), size=resamples)
    return _percentiles(draws @ values / len(difference))


def mcnemar_p_value(
    first: ArrayLike, second: ArrayLike, alternative: Alternative = "two-sided"
) -> float:
    """Returns the p-value of the exact McNemar test of outcomes [N] and [N] on the same tasks.

    Under the null hypothesis each task that only one of the two solves is a fair coin.
    "less" asks whether the first solves fewer.
    """
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    only_one, only_two = int((one & ~two).sum()), int((two & ~one).sum())
    if only_one + only_two == 0:
        return 1.0
    return float(binomtest(only_one, only_one + only_two, alternative=alternative).pvalue)


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """Adjusts the p-values [K] of a family of tests with Holm's method (1979).

    The chance of any false alarm among those below a significance level is at most that
    level, however the tests depend on each other.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    stepped = raw[order] * np.arange(len(raw), 0, -1)
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return [float(value) for value in adjusted]


def solved_over_time(times: ArrayLike, solved: ArrayLike, at: ArrayLike) -> np.ndarray:
    """Returns one minus the Kaplan-Meier estimate of times to success, at times [M].

    Takes the time [N] at which each trial was solved or censored, and whether [N] it was
    solved. A failure is censored at its budget.
    """
    share: np.ndarray = ecdf(_censored(times, solved)).cdf.evaluate(np.asarray(at))
    return share


class MeanTime(NamedTuple):
    """Holds a mean time and its 95% interval."""

    time: float
    interval: Interval


def restricted_mean_time(times: ArrayLike, limit: float) -> MeanTime:
    """Returns the mean of times to success [N] with failures counted as the limit.

    The restricted mean is the area under the Kaplan-Meier curve up to the limit. Every trial
    here is followed up to the limit, so that the area is the mean of min(time, limit), and
    Greenwood's variance is that of a mean. A failure's time is infinite.
    """
    used = np.minimum(np.asarray(times, dtype=np.float64), limit)
    mean, error = float(used.mean()), float(used.std()) / np.sqrt(len(used))
    spread = normal_quantile(CONFIDENCE) * error
    return MeanTime(mean, Interval(max(0.0, mean - spread), min(limit, mean + spread)))


class MedianTime(NamedTuple):
    """Holds the time by which half of all trials are solved, and its 95% interval; None: never."""

    time: float | None
    low: float | None
    high: float | None


def kaplan_meier_median(times: ArrayLike, solved: ArrayLike) -> MedianTime:
    """Returns where the Kaplan-Meier curve of times to success crosses one half.

    A planner that solves fewer than half of its trials has no median. Times and outcomes are
    those of `solved_over_time`. The interval is Brookmeyer and Crowley's (1982): the times at
    which the curve's own interval, on the log(-log) scale, holds one half.
    """
    unsolved = ecdf(_censored(times, solved)).sf
    with warnings.catch_warnings():
        # scipy warns that the bounds are undefined where the curve is at zero or one.
        warnings.simplefilter("ignore", RuntimeWarning)
        bounds: Any = unsolved.confidence_interval(CONFIDENCE, method="log-log")

    def crossing(share: np.ndarray) -> float | None:
        share = np.where(np.isnan(share), unsolved.probabilities, share)
        below = np.flatnonzero(share <= 0.5)
        return float(unsolved.quantiles[below[0]]) if len(below) else None

    return MedianTime(
        crossing(unsolved.probabilities),
        crossing(bounds.low.probabilities),
        crossing(bounds.high.probabilities),
    )


def detectable_paired_difference(tasks: int, discordance: float) -> float:
    """Returns the smallest difference of success rates that McNemar's test finds with `POWER`.

    Solves Connor's (1987) sample size for the difference δ, with ψ the share of tasks that
    only one of the two solves: N δ² = (z_{1-α/2} √ψ + z_{power} √(ψ - δ²))². Where ψ is
    smaller than the δ it gives, ψ = δ: all that differ do so in one direction. Returns 1
    where no difference is large enough.
    """  # noqa: RUF002

    def excess(difference: float) -> float:
        share = max(discordance, difference)
        needed = normal_quantile(1 - SIGNIFICANCE) * np.sqrt(share)
        needed += ndtri(POWER) * np.sqrt(share - difference**2)
        return float(difference * np.sqrt(tasks) - needed)

    # The excess crosses zero once, from below.
    return 1.0 if excess(1.0) <= 0 else float(brentq(excess, 1e-9, 1.0))


def normal_quantile(confidence: float) -> float:
    """Returns the two-sided standard normal quantile of a confidence."""
    return float(ndtri((1 + confidence) / 2))


def _censored(times: ArrayLike, solved: ArrayLike) -> CensoredData:
    event = np.asarray(solved, dtype=bool)
    return CensoredData.right_censored(np.asarray(times, dtype=np.float64), ~event)


def _at_rank(ordered: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Returns the values of sorted [N] at ranks in [0, 1)."""
    # A rank is below 1, but its product with N may round up to N.
    return ordered[np.minimum((rank * len(ordered)).astype(np.int64), len(ordered) - 1)]


def _percentiles(statistics: np.ndarray) -> Interval:
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.percentile(statistics, [tail, 100 - tail])
    return Interval(float(low), float(high))
