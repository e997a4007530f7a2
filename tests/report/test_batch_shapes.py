"""The report says where the device's memory made a run take smaller batches."""

from __future__ import annotations

from skinaudit.report.findings.summarise import batch_shapes
from tests.audit.rows import header, record


def test_nothing_is_said_of_a_run_in_one_shape() -> None:
    assert batch_shapes(header(), [record(), record(batch_size=8)]) == ()


def test_records_of_smaller_batches_are_counted() -> None:
    rows = [record(batch_size=8), *[record(batch_size=4)] * 3, *[record(batch_size=2)] * 2]
    (sentence,) = batch_shapes(header(), rows)
    assert "did not hold every batch of 8: of 6 records 3 in batches of 4 and 2 in batches of 2 were" in sentence
    assert "repeatable at one batch shape only" in sentence


def test_a_run_that_began_smaller_than_asked_says_so() -> None:
    (sentence,) = batch_shapes(header(batch_size_asked=64), [record(batch_size=8)])
    assert sentence == (
        "The device's memory did not hold batches of 64, so the run was prepared and begun in batches of 8."
    )
