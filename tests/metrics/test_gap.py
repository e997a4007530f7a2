"""Oracles: sets of pairs, the Wilson interval of their count."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinaudit.metrics.gap import gap_index
from skinaudit.metrics.intervals import Interval, wilson

quick = settings(deadline=None, max_examples=40, derandomize=True)


@quick
@given(pairs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_a_pair_counts_when_class_and_map_are_both_reached(pairs: list[tuple[bool, bool]]) -> None:
    found = gap_index([one for one, _ in pairs], [other for _, other in pairs])
    both = {i for i, (one, _) in enumerate(pairs) if one} & {i for i, (_, other) in enumerate(pairs) if other}
    assert (found.reached, found.n, found.value) == (len(both), len(pairs), len(both) / len(pairs))
    assert found.interval == wilson(len(both), len(pairs))


def test_more_confidence_gives_a_wider_interval() -> None:
    wide, narrow = gap_index([True] * 9, [True] * 9, 0.99), gap_index([True] * 9, [True] * 9, 0.5)
    assert wide.interval.low < narrow.interval.low < narrow.interval.high == wide.interval.high == 1.0


def test_no_pair_has_no_share_and_every_interval() -> None:
    found = gap_index([], [])
    assert math.isnan(found.value)
    assert found.interval == Interval(0.0, 1.0)


def test_outcomes_of_different_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2 outcomes of classes and 1 of maps"):
        gap_index([True, False], [True])


def test_what_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(ValueError, match="true or false"):
        gap_index([True], [math.nan])  # type: ignore[list-item]
