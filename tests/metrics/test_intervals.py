"""Oracles: closed forms, published worked examples, exact coverage by enumeration."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinaudit.metrics.intervals import (
    Interval,
    bootstrap_mean,
    mcnemar,
    paired_rate_difference,
    required_n,
    wilson,
)

quick = settings(deadline=None, max_examples=60, derandomize=True)

#: Standard normal quantile at 0.975.
Z = 1.959963984540054


def outcomes(both: int, a_only: int, b_only: int, neither: int) -> tuple[list[bool], list[bool]]:
    a = [True] * (both + a_only) + [False] * (b_only + neither)
    b = [True] * both + [False] * a_only + [True] * b_only + [False] * neither
    return a, b


# --- Wilson -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (0, 10, 0.0, Z**2 / (10 + Z**2)),  # 0.2775
        (10, 10, 10 / (10 + Z**2), 1.0),  # 0.7225
        (8, 10, 0.490162, 0.943318),
    ],
)
def test_wilson_equals_closed_forms(successes: int, n: int, low: float, high: float) -> None:
    found = wilson(successes, n)
    assert found.low == pytest.approx(low, abs=1e-6)
    assert found.high == pytest.approx(high, abs=1e-6)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_equals_published_examples(successes: int, n: int, low: float, high: float) -> None:
    found = wilson(successes, n)
    assert found.low == pytest.approx(low, abs=6e-5)
    assert found.high == pytest.approx(high, abs=6e-5)


@quick
@given(data=st.data(), n=st.integers(1, 500), confidence=st.floats(0.5, 0.999))
def test_wilson_ends_solve_the_score_equation(data: st.DataObject, n: int, confidence: float) -> None:
    successes = data.draw(st.integers(0, n))
    z = statistics.NormalDist().inv_cdf(0.5 + confidence / 2)
    found, rate = wilson(successes, n, confidence), successes / n
    assert 0.0 <= found.low <= rate <= found.high <= 1.0
    for end in (found.low, found.high):
        assert (rate - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / n, abs=1e-9)


@quick
@given(data=st.data(), n=st.integers(1, 200))
def test_wilson_of_the_failures_is_the_mirror_image(data: st.DataObject, n: int) -> None:
    successes = data.draw(st.integers(0, n))
    found, mirrored = wilson(successes, n), wilson(n - successes, n)
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-12)
    assert found.high == pytest.approx(1 - mirrored.low, abs=1e-12)


def test_wilson_of_nothing_and_at_the_edges_has_exact_ends() -> None:
    assert wilson(0, 0) == Interval(0.0, 1.0)
    assert wilson(0, 7).low == 0.0
    assert wilson(7, 7).high == 1.0


@pytest.mark.parametrize(("successes", "n"), [(-1, 10), (11, 10), (0, -1)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="0 <= successes <= n"):
        wilson(successes, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, math.nan])
def test_confidence_outside_its_range_is_refused_everywhere(confidence: float) -> None:
    for call in (
        lambda: wilson(1, 2, confidence),
        lambda: bootstrap_mean([1.0, 2.0], confidence=confidence),
        lambda: paired_rate_difference([True], [False], confidence),
        lambda: required_n(confidence=confidence),
    ):
        with pytest.raises(ValueError, match=r"confidence must lie in \(0, 1\)"):
            call()


# --- bootstrap --------------------------------------------------------------------------------------------------------


def test_bootstrap_mean_repeats_with_its_seed_and_moves_with_another() -> None:
    values = np.random.default_rng(0).random(30).tolist()
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_bootstrap_mean_equals_percentiles_of_resampled_means() -> None:
    values = np.random.default_rng(1).random(25)
    means = np.random.default_rng(5).choice(values, (2000, 25)).mean(axis=1)  # the seed's own stream, drawn by hand
    found = bootstrap_mean(values.tolist(), seed=5)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))


def test_bootstrap_mean_of_many_values_approaches_the_normal_interval() -> None:
    values = np.random.default_rng(2).random(400)
    half = Z * values.std(ddof=1) / math.sqrt(400)
    found = bootstrap_mean(values.tolist(), draws=4000)
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


@quick
@given(values=st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=12), seed=st.integers(0, 2**31 - 1))
def test_bootstrap_mean_stays_between_the_extremes(values: list[float], seed: int) -> None:
    found = bootstrap_mean(values, seed=seed, draws=200)
    assert min(values) - 1e-12 <= found.low <= found.high <= max(values) + 1e-12


def test_bootstrap_mean_gets_narrower_with_less_confidence() -> None:
    values = np.random.default_rng(3).random(30).tolist()
    wide, narrow = bootstrap_mean(values, confidence=0.99), bootstrap_mean(values, confidence=0.5)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_bootstrap_mean_without_spread_has_no_width() -> None:
    assert bootstrap_mean([0.3]) == Interval(0.3, 0.3)
    assert bootstrap_mean([0.1, 0.1, 0.1]) == Interval(0.1, 0.1)


@pytest.mark.parametrize(
    ("values", "draws", "message"),
    [([], 2000, "no values"), ([0.1, math.nan], 2000, "NaN or infinite"), ([0.1, 0.2], 0, "at least one draw")],
)
def test_bootstrap_mean_refuses_what_has_no_interval(values: list[float], draws: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_mean(values, draws=draws)


# --- pairs ------------------------------------------------------------------------------------------------------------


@quick
@given(a_only=st.integers(0, 60), b_only=st.integers(0, 60))
def test_mcnemar_is_twice_the_smaller_binomial_tail(a_only: int, b_only: int) -> None:
    n, fewer = a_only + b_only, min(a_only, b_only)
    tail = sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n
    assert mcnemar(a_only, b_only) == pytest.approx(min(1.0, 2 * tail), rel=1e-9)


def test_mcnemar_of_one_sided_pairs_is_a_power_of_two() -> None:
    assert mcnemar(10, 0) == mcnemar(0, 10) == 2**-9
    assert mcnemar(0, 0) == 1.0


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="counts, got -1 and 3"):
        mcnemar(-1, 3)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        ((36, 12, 2, 0), 0.0569, 0.3404),  # Newcombe 1998, Statistics in Medicine 17, 2635-2650, method 10
        ((14, 5, 0, 22), 0.011, 0.226),  # Altman et al., Statistics with Confidence, 2nd edition, table 6.2
    ],
)
def test_paired_interval_equals_published_examples(table: tuple[int, int, int, int], low: float, high: float) -> None:
    found = paired_rate_difference(*outcomes(*table)).interval
    assert found.low == pytest.approx(low, abs=5e-4)
    assert found.high == pytest.approx(high, abs=5e-4)


def test_paired_interval_without_correlation_is_the_two_wilson_limits_squared_and_added() -> None:
    found = paired_rate_difference(*outcomes(5, 5, 5, 5)).interval
    reach = math.sqrt(2) * (0.5 - wilson(10, 20).low)
    assert (found.low, found.high) == pytest.approx((-reach, reach))


@quick
@given(table=st.tuples(*[st.integers(0, 25)] * 4).filter(lambda counts: sum(counts) > 0))
def test_paired_difference_changes_sign_with_the_order(table: tuple[int, int, int, int]) -> None:
    a, b = outcomes(*table)
    found, swapped = paired_rate_difference(a, b), paired_rate_difference(b, a)
    assert found.n == len(a)
    assert found.difference == pytest.approx(sum(a) / len(a) - sum(b) / len(b), abs=1e-12)
    assert -1.0 <= found.interval.low <= found.difference <= found.interval.high <= 1.0
    assert swapped.difference == -found.difference
    assert swapped.interval.low == pytest.approx(-found.interval.high, abs=1e-12)
    assert swapped.interval.high == pytest.approx(-found.interval.low, abs=1e-12)
    assert found.p_value == pytest.approx(swapped.p_value)


def test_paired_interval_covers_the_true_difference_near_its_nominal_rate() -> None:
    # The exact coverage at n = 20 and probabilities (both, a only, b only, neither), by summing over all tables.
    n, truth = 20, (0.3, 0.3, 0.1, 0.3)
    covered = 0.0
    for both in range(n + 1):
        for a_only in range(n - both + 1):
            for b_only in range(n - both - a_only + 1):
                neither = n - both - a_only - b_only
                counts = (both, a_only, b_only, neither)
                ways = math.factorial(n) // math.prod(math.factorial(count) for count in counts)
                weight = ways * math.prod(p**count for p, count in zip(truth, counts, strict=True))
                if weight < 1e-5:  # together below 0.6 %: they cannot move the result out of the asserted range
                    continue
                interval = paired_rate_difference(*outcomes(*counts)).interval
                covered += weight * (interval.low <= 0.2 <= interval.high)
    assert 0.93 <= covered <= 0.99


def test_paired_difference_of_no_image_says_nothing() -> None:
    found = paired_rate_difference([], [])
    assert math.isnan(found.difference)
    assert (found.interval, found.p_value, found.n) == (Interval(-1.0, 1.0), 1.0, 0)


def test_paired_difference_refuses_outcomes_of_different_images() -> None:
    with pytest.raises(ValueError, match="same images on both sides, got 2 and 1"):
        paired_rate_difference([True, False], [True])


# --- how many images --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("half_width", "confidence", "n"), [(0.05, 0.95, 385), (0.1, 0.95, 97), (0.05, 0.99, 664)])
def test_required_n_equals_the_textbook_table(half_width: float, confidence: float, n: int) -> None:
    assert required_n(half_width, confidence) == n


@pytest.mark.parametrize("half_width", [0.05, 0.1, 0.2])
def test_required_n_keeps_every_wilson_end_within_the_half_width_and_fewer_images_do_not(half_width: float) -> None:
    def furthest(n: int) -> float:
        ends = ((wilson(k, n), k / n) for k in range(n + 1))
        return max(max(interval.high - rate, rate - interval.low) for interval, rate in ends)

    n = required_n(half_width)
    assert furthest(n) <= half_width
    assert furthest(n * 9 // 10) > half_width


@pytest.mark.parametrize("half_width", [0.0, 1.0, 5.0])
def test_required_n_refuses_a_half_width_in_points(half_width: float) -> None:
    with pytest.raises(ValueError, match=r"0\.05 means 5 percentage points"):
        required_n(half_width)
