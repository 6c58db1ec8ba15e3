"""Intervals and tests, as the evaluation protocol names them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, ndtri

CONFIDENCE = 0.95


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
    z = float(ndtri((1 + CONFIDENCE) / 2))
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
    values: ArrayLike, generator: np.random.Generator, resamples: int = 2000
) -> Interval:
    """Percentile bootstrap interval of the median of values [N], N >= 1."""
    sample = np.asarray(values, dtype=np.float64)
    draws = generator.integers(len(sample), size=(resamples, len(sample)))
    return _percentiles(np.median(sample[draws], axis=1))


def paired_difference_interval(
    first: ArrayLike, second: ArrayLike, generator: np.random.Generator, resamples: int = 2000
) -> Interval:
    """Bootstrap interval of the difference of two success rates on the same tasks.

    Takes outcomes [N] and [N]; tasks are resampled, so the pairing is kept.
    """
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    draws = generator.integers(len(difference), size=(resamples, len(difference)))
    return _percentiles(difference[draws].mean(axis=1))


def mcnemar_p_value(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided exact McNemar test of outcomes [N] and [N] on the same tasks.

    Under the null hypothesis each task that only one of the two solves is a fair coin.
    """
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    only_one, only_two = int((one & ~two).sum()), int((two & ~one).sum())
    # The coin is symmetric, so both tails are alike; an even split would count its middle twice.
    tail = float(bdtr(min(only_one, only_two), only_one + only_two, 0.5))
    return min(1.0, 2 * tail)


class SurvivalCurve(NamedTuple):
    """Share of trials solved by a time: a step function, right-continuous.

    Attributes:
        times: [K] increasing, the first 0.
        solved: [K] the share at and after each time.
    """

    times: np.ndarray
    solved: np.ndarray


def solved_over_time(times: ArrayLike, solved: ArrayLike) -> SurvivalCurve:
    """One minus the Kaplan-Meier estimate (1958) for times to success.

    Takes the time [N] at which each trial was solved or censored, and whether [N] it was
    solved; a failure is censored at its budget.
    """
    time, event = np.asarray(times, dtype=np.float64), np.asarray(solved, dtype=bool)
    steps = np.unique(time[event])
    at_risk = (time[:, None] >= steps).sum(axis=0)
    events = (time[event][:, None] == steps).sum(axis=0)
    survival = np.cumprod(1 - events / np.maximum(at_risk, 1))
    return SurvivalCurve(np.append(0.0, steps), np.append(0.0, 1 - survival))


def _percentiles(statistics: np.ndarray) -> Interval:
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.percentile(statistics, [tail, 100 - tail])
    return Interval(float(low), float(high))
