import numpy as np
import pytest
from scipy.stats import binom, binomtest, bootstrap

from grasp_bench.analysis.stats import (
    bootstrap_median_interval,
    detectable_paired_difference,
    holm_adjusted,
    kaplan_meier_median,
    mcnemar_p_value,
    paired_difference_interval,
    restricted_mean_time,
    solved_over_time,
    wilson_interval,
)


def test_wilson_interval_matches_newcombes_published_examples():
    # Newcombe (1998), table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_interval_refuses_impossible_counts(successes, trials):
    with pytest.raises(ValueError, match="must"):
        wilson_interval(successes, trials)


@pytest.mark.parametrize(("only_one", "only_two"), [(5, 1), (1, 5), (12, 3), (4, 4), (0, 9)])
def test_mcnemar_is_the_exact_test_of_the_discordant_pairs(only_one, only_two):
    one = np.array([1] * only_one + [0] * only_two + [1] * 20 + [0] * 20)
    two = np.array([0] * only_one + [1] * only_two + [1] * 20 + [0] * 20)
    tail = 2 * binom.cdf(min(only_one, only_two), only_one + only_two, 0.5)
    assert mcnemar_p_value(one, two) == pytest.approx(min(1, tail))


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
    survival = 1 - solved_over_time(times, events, [10, 22, 23])
    assert survival == pytest.approx([0.753, 0.538, 0.448], abs=5e-4)


def test_kaplan_meier_censored_at_one_budget_is_the_share_solved():
    share = solved_over_time([1, 2, 5, 5], [True, True, False, False], [0, 0.9, 1, 2, 9])
    assert share.tolist() == [0, 0, 0.25, 0.5, 0.5]


def test_kaplan_meier_without_a_success_stays_at_zero():
    assert solved_over_time([5, 5], [False, False], [0, 5, 9]).tolist() == [0, 0, 0]


# The acute myelogenous leukaemia data of Miller (1997), R's `survival::aml`.
AML_MAINTAINED = ([9, 13, 13, 18, 23, 28, 31, 34, 45, 48, 161], [1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0])
AML_OTHERS = ([5, 5, 8, 8, 12, 16, 23, 27, 30, 33, 43, 45], [1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1])


def test_restricted_mean_is_the_area_under_the_kaplan_meier_curve():
    times, limit = np.random.default_rng(0).exponential(size=50), 1.0
    restricted = restricted_mean_time(np.where(times < limit, times, np.inf), limit)
    grid = (np.arange(100_000) + 0.5) / 100_000 * limit
    unsolved = 1 - solved_over_time(np.minimum(times, limit), times < limit, grid)
    assert restricted.time == pytest.approx(unsolved.mean(), abs=1e-4)


def test_restricted_mean_counts_failures_as_the_limit():
    never = np.inf
    assert restricted_mean_time([1, 2, never, never], 5).time == pytest.approx(13 / 4)
    assert restricted_mean_time([1, 2, never, never], 1.5).time == pytest.approx(1.375)
    assert restricted_mean_time([never], 5) == (5, (5, 5))


def test_restricted_mean_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits, truth = 0, 1 - np.exp(-1)
    for _ in range(500):
        times = rng.exponential(size=60)
        low, high = restricted_mean_time(np.where(times < 1, times, np.inf), 1.0).interval
        hits += low <= truth <= high
    assert 0.90 <= hits / 500 <= 0.98


@pytest.mark.parametrize(("data", "median"), [(AML_MAINTAINED, 31), (AML_OTHERS, 23)])
def test_kaplan_meier_median_is_the_survival_packages(data, median):
    # R, survfit(Surv(time, status) ~ x, data = aml).
    assert kaplan_meier_median(*data).time == median


def test_kaplan_meier_median_counts_failures_and_has_no_value_where_most_fail():
    assert kaplan_meier_median([1, 2, 5, 5], [True, True, False, False]) == (2, 1, None)
    assert kaplan_meier_median([1, 5, 5, 5], [True, False, False, False]).time is None
    assert kaplan_meier_median([5, 5], [False, False]) == (None, None, None)
    assert kaplan_meier_median([1], [True]) == (1, 1, 1)


def test_kaplan_meier_median_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits, truth = 0, np.log(2)
    for _ in range(300):
        times = rng.exponential(size=100)
        _, low, high = kaplan_meier_median(np.minimum(times, 1.0), times < 1.0)
        hits += low <= truth <= (np.inf if high is None else high)
    assert 0.91 <= hits / 300 <= 0.99


@pytest.mark.parametrize("count", [1, 2, 5, 40, 61])
def test_bootstrap_of_the_median_has_the_distribution_of_resampling(count):
    values = np.random.default_rng(2).exponential(size=count)
    fast = bootstrap_median_interval(values, np.random.default_rng(0), resamples=200_000)
    draws = np.random.default_rng(1).integers(count, size=(50_000, count))
    slow = np.percentile(np.median(values[draws], axis=1), [2.5, 97.5])
    ranks = np.searchsorted(np.sort(values), [fast, slow])
    assert np.abs(ranks[0] - ranks[1]).max() <= 1


def test_paired_interval_is_scipys_bootstrap_of_the_mean_difference():
    rng = np.random.default_rng(0)
    first, second = rng.random(100) < 0.6, rng.random(100) < 0.4
    interval = paired_difference_interval(first, second, rng, resamples=20_000)
    expected = bootstrap(
        (first.astype(float) - second,), np.mean, method="percentile", n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert interval == pytest.approx((expected.low, expected.high), abs=0.011)


@pytest.mark.parametrize("alternative", ["less", "greater"])
def test_one_sided_mcnemar_is_the_one_sided_binomial_test(alternative):
    one, two = np.array([1] * 9 + [0] * 3 + [1]), np.array([0] * 9 + [1] * 3 + [1])
    expected = binomtest(9, 12, alternative=alternative).pvalue
    assert mcnemar_p_value(one, two, alternative) == pytest.approx(expected)
    assert mcnemar_p_value([1, 0], [1, 0], alternative) == 1.0


def test_holm_matches_a_worked_example():
    # R, p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm").
    assert holm_adjusted([0.03, 0.01, 0.05, 0.02, 0.04]) == pytest.approx(
        [0.09, 0.05, 0.09, 0.08, 0.09]
    )
    assert holm_adjusted([0.6, 0.7]) == [1.0, 1.0]
    assert holm_adjusted([]) == []


def test_detectable_paired_difference_inverts_the_published_sample_size():
    # Chow, Shao and Wang (2008), McNemar's test: discordant cells 0.5 and 0.2 need 59 pairs.
    assert detectable_paired_difference(58, 0.7) > 0.3 > detectable_paired_difference(59, 0.7)


@pytest.mark.parametrize(("tasks", "discordance"), [(50, 0.3), (50, 0.0), (500, 0.2)])
def test_detectable_paired_difference_is_found_about_as_often_as_it_says(tasks, discordance):
    difference = detectable_paired_difference(tasks, discordance)
    share = max(discordance, difference)
    only_one = (share + difference) / 2 / share
    power = 0.0
    for count in range(tasks + 1):
        split = np.arange(count + 1)
        tails = np.minimum(binom.cdf(split, count, 0.5), binom.sf(split - 1, count, 0.5))
        found = binom.pmf(split, count, only_one)[2 * tails < 0.05].sum()
        power += binom.pmf(count, tasks, share) * found
    assert 0.7 < power < 0.9


def test_detectable_differences_fall_with_the_number_of_tasks():
    found = [detectable_paired_difference(tasks, 0.3) for tasks in (1, 5, 50, 500)]
    assert found == sorted(found, reverse=True)
    assert found[0] == 1.0
