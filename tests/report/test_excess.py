"""Paired differences counted by hand."""

from __future__ import annotations

import pytest

from skinaudit.report import tally
from skinaudit.report.findings.excess import excess_of
from tests.report.synthetic import verdict


def names(count: int) -> list[str]:
    return [f"image-{place:02d}" for place in range(count)]


def test_the_same_images_only_are_paired() -> None:
    adv2 = [verdict(name, "adv2") for name in names(12)]
    pgd = [verdict(name, "pgd", kept=place < 2) for place, name in enumerate(names(11))]
    found = excess_of(*tally.paired_joint([*pgd, *adv2]), "won")
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.n == 11
    assert found.difference == pytest.approx(9 / 11)
    assert found.p_value == pytest.approx(2 * 0.5**9)
    assert found.low < 9 / 11 < found.high
    assert found.text.startswith("On the same 11 images, ADV² won 82 points more often than PGD (95 % interval +")


def test_few_images_state_nothing_and_none_say_nothing() -> None:
    few = excess_of([True] * 9, [False] * 9, "won")
    assert few is not None
    assert few.difference is None
    assert "too few to say" in few.text
    assert excess_of([], [], "won") is None


def test_no_difference_is_said_as_such() -> None:
    found = excess_of([True] * 12, [True] * 12, "won")
    assert found is not None
    assert "won as often as PGD" in found.text
