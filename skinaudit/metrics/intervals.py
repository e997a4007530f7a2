"""Intervals of rates, means and paired differences, and how many images a claim needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, bootstrap, norm

#: Below this n a rate is printed as "too few to say".
TOO_FEW = 10

#: Most resampled values that are held at once (16 MB), whatever n is.
_VALUES_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """Lower and upper end, in the unit of what they enclose."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Rate of a minus rate of b on the same n images, with its interval and McNemar's exact p-value."""

    difference: float
    interval: Interval
    p_value: float
    n: int


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a rate, inside [0, 1], without continuity correction; n = 0 gives (0, 1).

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927; by SciPy.

    Raises:
        ValueError: not 0 <= successes <= n, or ``confidence`` is outside (0, 1).

    >>> interval = wilson(8, 10)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.4902, 0.9433)
    """
    _check_confidence(confidence)
    if not 0 <= successes <= n:
        raise ValueError(f"a rate needs 0 <= successes <= n, got {successes} of {n}")
    if n == 0:
        return Interval(0.0, 1.0)
    found = binomtest(successes, n).proportion_ci(confidence_level=confidence, method="wilson")
    # Rounding leaves 1e-17 where the closed form gives exactly 0 or 1.
    low = 0.0 if successes == 0 else float(found.low)
    high = 1.0 if successes == n else float(found.high)
    return Interval(low, high)


def bootstrap_mean(values: Sequence[float], *, confidence: float = 0.95, draws: int = 2000, seed: int = 0) -> Interval:
    """Percentile bootstrap interval of the mean, in the unit of the values; the same seed gives the same interval.

    One value, or values that are all equal, give an interval of width 0: the data show no spread, which is not
    certainty. Print n beside it.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979; through SciPy.

    Raises:
        ValueError: no value, a value that is not finite, ``draws`` < 1, or ``confidence`` outside (0, 1).

    >>> interval = bootstrap_mean([0.01, 0.02, 0.03, 0.02, 0.05])
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.016, 0.038)
    """
    _check_confidence(confidence)
    if draws < 1:
        raise ValueError(f"a bootstrap needs at least one draw, got {draws}")
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0:
        raise ValueError("no values: a mean of nothing has no interval; leave the row out or print n = 0")
    if not np.isfinite(sample).all():
        raise ValueError("a value is NaN or infinite; count failed units apart before taking a mean")
    if sample.min() == sample.max():
        return Interval(float(sample[0]), float(sample[0]))
    found = bootstrap(
        (sample,),
        np.mean,
        n_resamples=draws,
        batch=max(1, _VALUES_AT_ONCE // sample.size),
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def mcnemar(a_only: int, b_only: int) -> float:
    """Exact two-sided p-value in (0, 1] of "a and b succeed equally often on the same images".

    No image on which only one of them succeeded gives 1.0.

    Source: McNemar, Psychometrika 12, 1947, in its exact binomial form; through SciPy.

    Args:
        a_only: images on which only a succeeded.
        b_only: images on which only b succeeded.

    Raises:
        ValueError: a count is negative.

    >>> mcnemar(5, 0)
    0.0625
    """
    if a_only < 0 or b_only < 0:
        raise ValueError(f"discordant pairs are counts, got {a_only} and {b_only}")
    if a_only + b_only == 0:
        return 1.0
    return float(binomtest(a_only, a_only + b_only, 0.5).pvalue)


def paired_rate_difference(a: Sequence[bool], b: Sequence[bool], confidence: float = 0.95) -> PairedDifference:
    """Rate of a minus rate of b, measured on the same images in the same order, in [-1, 1].

    The interval is Newcombe's method 10: Wilson limits of both rates, squared and added, with the continuity-corrected
    correlation of the pairs. No image gives difference NaN, interval (-1, 1), p-value 1.

    Source: Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired
    data", Statistics in Medicine 17, 1998, 2635-2650; p-value as in ``mcnemar``.

    Raises:
        ValueError: a and b differ in length, or ``confidence`` is outside (0, 1).

    >>> found = paired_rate_difference([True] * 8 + [False] * 2, [True] * 2 + [False] * 8)
    >>> round(found.difference, 4), round(found.interval.low, 4), round(found.interval.high, 4), found.p_value
    (0.6, 0.1618, 0.8027, 0.03125)
    """
    _check_confidence(confidence)
    if len(a) != len(b):
        raise ValueError(f"paired outcomes need the same images on both sides, got {len(a)} and {len(b)}")
    n = len(a)
    if n == 0:
        return PairedDifference(math.nan, Interval(-1.0, 1.0), 1.0, 0)
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    both = int((first & second).sum())
    a_only, b_only = int((first & ~second).sum()), int((~first & second).sum())
    interval = _newcombe(both, a_only, b_only, n, confidence)
    return PairedDifference((a_only - b_only) / n, interval, mcnemar(a_only, b_only), n)


def required_n(half_width: float = 0.05, confidence: float = 0.95) -> int:
    """Images needed so that a rate is known within +- ``half_width``, whatever the rate turns out to be.

    n = z^2 / (4 half_width^2), the worst case at rate 1/2. From this n on no end of a Wilson interval lies further than
    ``half_width`` from the measured rate, since the score test allows |difference| <= z / (2 sqrt(n)).

    Raises:
        ValueError: ``half_width`` or ``confidence`` is outside (0, 1).

    >>> required_n(), required_n(0.1)
    (385, 97)
    """
    _check_confidence(confidence)
    if not 0.0 < half_width < 1.0:
        raise ValueError(f"half_width must lie in (0, 1), got {half_width}; 0.05 means 5 percentage points")
    return math.ceil((_normal_quantile(confidence) / (2 * half_width)) ** 2)


def _newcombe(both: int, a_only: int, b_only: int, n: int, confidence: float) -> Interval:
    neither = n - both - a_only - b_only
    rate_a, rate_b = (both + a_only) / n, (both + b_only) / n
    limits_a, limits_b = wilson(both + a_only, n, confidence), wilson(both + b_only, n, confidence)
    correlation = _corrected_correlation(both, a_only, b_only, neither)

    def reach(toward_a: float, toward_b: float) -> float:
        return math.sqrt(max(0.0, toward_a**2 - 2 * correlation * toward_a * toward_b + toward_b**2))

    difference = (a_only - b_only) / n
    low = difference - reach(rate_a - limits_a.low, limits_b.high - rate_b)
    high = difference + reach(limits_a.high - rate_a, rate_b - limits_b.low)
    return Interval(max(-1.0, low), min(1.0, high))


def _corrected_correlation(both: int, a_only: int, b_only: int, neither: int) -> float:
    """Phi of the 2 x 2 table; a positive numerator is moved n/2 towards 0 (Newcombe 1998, method 10)."""
    margins = (both + a_only) * (b_only + neither) * (both + b_only) * (a_only + neither)
    if margins == 0:
        return 0.0
    numerator: float = both * neither - a_only * b_only
    if numerator > 0:
        numerator = max(numerator - (both + a_only + b_only + neither) / 2, 0.0)
    return numerator / math.sqrt(margins)


def _normal_quantile(confidence: float) -> float:
    return float(norm.ppf(0.5 + confidence / 2))


def _check_confidence(confidence: float) -> None:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}; 0.95 means 95 %")
