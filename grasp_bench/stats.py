"""Intervals, tests, survival and power, as the evaluation protocol names them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import bdtr, ndtri

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
POWER = 0.8
RESAMPLES = 2000

Alternative = Literal["two-sided", "less", "greater"]


class Interval(NamedTuple):
    """A 95% confidence interval."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int) -> Interval:
    """Wilson's score interval of a success probability (Wilson 1927); no continuity correction.

    Raises:
        ValueError: not 0 <= successes <= trials with at least one trial.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes in {trials} trials")
    z = _normal_quantile()
    rate = successes / trials
    centre = rate + z**2 / (2 * trials)
    spread = z * np.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    low, high = (centre - spread) / scale, (centre + spread) / scale
    # At 0 and at all successes the bound is exactly the edge, which rounding may miss.
    return Interval(
        0.0 if successes == 0 else float(low), 1.0 if successes == trials else float(high)
    )


def bootstrap_median_interval(
    values: ArrayLike, generator: np.random.Generator, resamples: int = RESAMPLES
) -> Interval:
    """Percentile bootstrap interval of the median of values [N], N >= 1.

    Given differences of pairs it is the paired bootstrap of their median. The ranks of a
    resample are N independent uniform draws, and their middle order statistics have Beta
    distributions: drawing these takes O(N log N) instead of N draws a resample.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = len(ordered)
    lower = (count + 1) // 2
    rank = generator.beta(lower, count + 1 - lower, size=resamples)
    medians = _at_rank(ordered, rank)
    if count % 2 == 0:
        # Of the count - lower draws above the lower middle one, the smallest.
        upper = rank + (1 - rank) * generator.beta(1, count - lower, size=resamples)
        medians = (medians + _at_rank(ordered, upper)) / 2
    return _percentiles(medians)


def paired_difference_interval(
    first: ArrayLike,
    second: ArrayLike,
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Interval:
    """Bootstrap interval of the difference of two means, as of success rates, on the same tasks.

    Takes outcomes [N] and [N]; tasks are resampled, so the pairing is kept.
    """
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    values, counts = np.unique(difference, return_counts=True)
    # How often each value is drawn is multinomial; success rates have three values at most.
    draws = generator.multinomial(len(difference), counts / len(difference), size=resamples)
    return _percentiles(draws @ values / len(difference))


def mcnemar_p_value(
    first: ArrayLike, second: ArrayLike, alternative: Alternative = "two-sided"
) -> float:
    """Exact McNemar test (1947) of outcomes [N] and [N] on the same tasks.

    Under the null hypothesis each task that only one of the two solves is a fair coin.
    "less" asks whether the first solves fewer.
    """
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    only_one, only_two = int((one & ~two).sum()), int((two & ~one).sum())
    discordant = only_one + only_two
    if alternative == "less":
        return float(bdtr(only_one, discordant, 0.5))
    if alternative == "greater":
        return float(bdtr(only_two, discordant, 0.5))
    # The coin is symmetric, so both tails are alike; an even split would count its middle twice.
    return min(1.0, 2 * float(bdtr(min(only_one, only_two), discordant, 0.5)))


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """P-values [K] of a family of tests, adjusted by Holm (1979).

    Rejecting those below a significance level keeps the chance of any false alarm below it,
    however the tests depend on each other.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    stepped = raw[order] * np.arange(len(raw), 0, -1)
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return [float(value) for value in adjusted]


class SurvivalCurve(NamedTuple):
    """Share of trials solved by a time: a step function, right-continuous.

    Attributes:
        times: [K] increasing, the first 0.
        solved: [K] the share at and after each time.
        at_risk: [K] trials neither solved nor censored just before each time.
        events: [K] trials solved at each time.
    """

    times: np.ndarray
    solved: np.ndarray
    at_risk: np.ndarray
    events: np.ndarray


def solved_over_time(times: ArrayLike, solved: ArrayLike) -> SurvivalCurve:
    """One minus the Kaplan-Meier estimate (1958) for times to success.

    Takes the time [N] at which each trial was solved or censored, and whether [N] it was
    solved; a failure is censored at its budget.
    """
    time, event = np.asarray(times, dtype=np.float64), np.asarray(solved, dtype=bool)
    steps, events = np.unique(time[event], return_counts=True)
    at_risk = len(time) - np.searchsorted(np.sort(time), steps)
    survival = np.cumprod(1 - events / at_risk)
    return SurvivalCurve(
        np.append(0.0, steps),
        np.append(0.0, 1 - survival),
        np.append(len(time), at_risk),
        np.append(0, events),
    )


class RestrictedMean(NamedTuple):
    """Mean time to success within a limit, and its 95% interval."""

    time: float
    interval: Interval


def restricted_mean_time(times: ArrayLike, solved: ArrayLike, limit: float) -> RestrictedMean:
    """Restricted mean time to success: the area under the Kaplan-Meier curve up to `limit`.

    A trial unsolved at the limit counts as the limit, so unlike the median over successes it
    does not flatter a planner that solves only easy tasks. Times and outcomes are those of
    `solved_over_time`; the variance is Greenwood's, Σ A_k² d_k / (n_k (n_k - d_k)), with A_k
    the area after step k (Klein and Moeschberger 2003, section 4.5).
    """
    curve = solved_over_time(times, solved)
    inside = curve.times < limit
    starts, survival = curve.times[inside], 1 - curve.solved[inside]
    areas = survival * np.diff(np.append(starts, limit))
    area_after = np.cumsum(areas[::-1])[::-1]
    left = curve.at_risk[inside] - curve.events[inside]
    # Where nothing is left the curve is at zero, and no area comes after.
    weight = curve.events[inside] / (curve.at_risk[inside] * np.maximum(left, 1))
    spread = _normal_quantile() * float(np.sqrt((area_after**2 * weight).sum()))
    mean = float(areas.sum())
    return RestrictedMean(mean, Interval(max(0.0, mean - spread), min(limit, mean + spread)))


class KaplanMeierMedian(NamedTuple):
    """Time by which half of all trials are solved, and its 95% interval; None: never."""

    time: float | None
    low: float | None
    high: float | None


def kaplan_meier_median(times: ArrayLike, solved: ArrayLike) -> KaplanMeierMedian:
    """Median time to success over all trials: where the Kaplan-Meier curve crosses one half.

    Unlike the median over successes it does not flatter a planner that solves only easy
    tasks; one that solves fewer than half of its trials has none. Times and outcomes are
    those of `solved_over_time`. The interval is Brookmeyer and Crowley's (1982): the times at
    which the curve's own interval, on the log(-log) scale, holds one half.
    """
    from scipy.stats import CensoredData, ecdf  # Imports for a second.

    time, event = np.asarray(times, dtype=np.float64), np.asarray(solved, dtype=bool)
    unsolved = ecdf(CensoredData(uncensored=time[event], right=time[~event])).sf
    with warnings.catch_warnings():
        # Where the curve is at zero or one its bounds are undefined, and warned of.
        warnings.simplefilter("ignore", RuntimeWarning)
        bounds: Any = unsolved.confidence_interval(CONFIDENCE, method="log-log")

    def crossing(share: np.ndarray) -> float | None:
        share = np.where(np.isnan(share), unsolved.probabilities, share)
        below = np.flatnonzero(share <= 0.5)
        return float(unsolved.quantiles[below[0]]) if len(below) else None

    return KaplanMeierMedian(
        crossing(unsolved.probabilities),
        crossing(bounds.low.probabilities),
        crossing(bounds.high.probabilities),
    )


def detectable_paired_difference(
    tasks: int, discordance: float, significance: float = SIGNIFICANCE, power: float = POWER
) -> float:
    """Smallest difference of success rates that a two-sided McNemar test finds with `power`.

    Solves Connor's (1987) sample size for the difference δ, with ψ the share of tasks that
    only one of the two solves: N δ² = (z_{1-α/2} √ψ + z_{power} √(ψ - δ²))². Where ψ is
    smaller than the δ it gives, ψ = δ: all that differ do so in one direction. 1 where no
    difference would do.
    """  # noqa: RUF002

    def excess(difference: float) -> float:
        share = max(discordance, difference)
        needed = _normal_quantile(1 - significance) * np.sqrt(share)
        needed += ndtri(power) * np.sqrt(share - difference**2)
        return float(difference * np.sqrt(tasks) - needed)

    return _smallest_root(excess)


def detectable_difference(
    trials: int, rate: float, significance: float = SIGNIFICANCE, power: float = POWER
) -> float:
    """Smallest fall from a success rate that two independent groups of N trials show.

    Solves the sample size of the two-sided test of two proportions (Fleiss, Levin and Paik
    2003, section 4.2, without continuity correction) for the difference. `rate` where no
    fall would do.
    """
    z = _normal_quantile(1 - significance)

    def excess(difference: float) -> float:
        lower, middle = rate - difference, rate - difference / 2
        needed = z * np.sqrt(2 * middle * (1 - middle))
        needed += ndtri(power) * np.sqrt(rate * (1 - rate) + lower * (1 - lower))
        return float(difference * np.sqrt(trials) - needed)

    return _smallest_root(excess, rate)


def _smallest_root(excess: Callable[[float], float], highest: float = 1.0) -> float:
    # Crosses zero once, from below; beyond `highest` there is no rate to differ by.
    return highest if excess(highest) <= 0 else float(brentq(excess, 1e-9, highest))


def _at_rank(ordered: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """The values of sorted [N] at ranks in [0, 1)."""
    # The last is below 1, but its product with N may be rounded up to N.
    return ordered[np.minimum((rank * len(ordered)).astype(np.int64), len(ordered) - 1)]


def _normal_quantile(confidence: float = CONFIDENCE) -> float:
    """The two-sided standard normal quantile of a confidence."""
    return float(ndtri((1 + confidence) / 2))


def _percentiles(statistics: np.ndarray) -> Interval:
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.percentile(statistics, [tail, 100 - tail])
    return Interval(float(low), float(high))
