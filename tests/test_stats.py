import numpy as np
import pytest
from scipy.stats import binomtest

from grasp_bench.stats import (
    bootstrap_median_interval,
    mcnemar_p_value,
    paired_difference_interval,
    solved_over_time,
    wilson_interval,
)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (1, 10), (52, 500), (295, 500), (9, 9)])
def test_wilson_interval_is_scipys(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high))


def test_wilson_interval_matches_newcombes_published_examples():
    # Newcombe (1998), table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_interval_refuses_impossible_counts(successes, trials):
    with pytest.raises(ValueError, match="trials"):
        wilson_interval(successes, trials)


@pytest.mark.parametrize(("only_one", "only_two"), [(5, 1), (1, 5), (12, 3), (4, 4), (0, 9)])
def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_pairs(only_one, only_two):
    one = np.array([1] * only_one + [0] * only_two + [1] * 20 + [0] * 20)
    two = np.array([0] * only_one + [1] * only_two + [1] * 20 + [0] * 20)
    expected = binomtest(only_one, only_one + only_two).pvalue
    assert mcnemar_p_value(one, two) == pytest.approx(expected)


def test_mcnemar_of_equal_outcomes_is_one():
    assert mcnemar_p_value([1, 0, 1], [1, 0, 1]) == 1.0


def test_bootstrap_of_the_median_holds_it_and_is_reproducible():
    values = np.random.default_rng(0).exponential(size=200)
    interval = bootstrap_median_interval(values, np.random.default_rng(1))
    assert interval.low < np.median(values) < interval.high
    assert interval == bootstrap_median_interval(values, np.random.default_rng(1))
    assert bootstrap_median_interval([3.0], np.random.default_rng(1)) == (3.0, 3.0)


def test_bootstrap_of_the_median_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(500):
        low, high = bootstrap_median_interval(rng.normal(size=61), rng, resamples=300)
        hits += low <= 0 <= high
    assert 0.90 <= hits / 500 <= 0.98


def test_paired_interval_uses_the_pairing():
    rng = np.random.default_rng(0)
    first = rng.random(300) < 0.5
    second = first.copy()
    second[:15] = ~second[:15]
    low, high = paired_difference_interval(first, second, np.random.default_rng(1))
    truth = first.mean() - second.mean()
    assert low <= truth <= high
    assert high - low < 0.06  # unpaired it would be 0.16 wide


def test_kaplan_meier_matches_a_textbook_example():
    # Freireich et al. (1963), the 6-MP arm: S(10) = 0.753, S(22) = 0.538, S(23) = 0.448.
    times = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    events = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    curve = solved_over_time(times, events)
    survival = dict(zip(curve.times, 1 - curve.solved, strict=True))
    assert survival[10] == pytest.approx(0.753, abs=5e-4)
    assert survival[22] == pytest.approx(0.538, abs=5e-4)
    assert survival[23] == pytest.approx(0.448, abs=5e-4)


def test_kaplan_meier_censored_at_one_budget_is_the_share_solved():
    curve = solved_over_time([1, 2, 5, 5], [True, True, False, False])
    assert curve.times.tolist() == [0, 1, 2]
    assert curve.solved.tolist() == [0, 0.25, 0.5]
