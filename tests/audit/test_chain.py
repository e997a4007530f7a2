from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from skinaudit.audit.chain import (
    CLOCK_WENT_BACK,
    GENESIS,
    Event,
    canonical_json,
    chain_problems,
    content_digest,
    next_event,
)

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


def chain_of_three() -> list[Event]:
    events: list[Event] = []
    for minute, kind in enumerate(("run created", "resumed", "thresholds fixed")):
        last = events[-1] if events else None
        events.append(next_event(last, NOON + timedelta(minutes=minute), kind, detail={"n": minute, "share": 0.5}))
    return events


def test_hash_is_sha256_of_the_sorted_json_of_all_other_fields() -> None:
    event = next_event(None, NOON, "resumed", digest="e" * 64, unit="u", detail={"é": 1})
    fields = {
        "detail": {"é": 1},
        "digest": "e" * 64,
        "kind": "resumed",
        "previous": GENESIS,
        "seq": 1,
        "time": "2026-01-02T12:00:00.000000Z",
        "unit": "u",
    }
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    assert event.hash == hashlib.sha256(text.encode()).hexdigest()
    assert json.loads(event.line()) == {**fields, "hash": event.hash}


def test_each_event_carries_the_hash_of_the_one_before() -> None:
    first, second, third = chain_of_three()
    assert [first.previous, second.previous, third.previous] == [GENESIS, first.hash, second.hash]
    assert [first.seq, second.seq, third.seq] == [1, 2, 3]


def test_an_unbroken_chain_has_no_problems() -> None:
    assert chain_problems(chain_of_three()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"time": "2026-01-02T12:01:30.000000Z"},
        {"kind": "interrupted"},
        {"unit": "u"},
        {"detail": {"n": 2, "share": 0.5}},
        {"digest": "0" * 64},
        {"hash": "0" * 64},
        {"previous": "0" * 64},
    ],
)
def test_a_change_of_any_field_is_found(change: dict[str, object]) -> None:
    first, second, third = chain_of_three()
    assert any("event 2" in problem for problem in chain_problems([first, replace(second, **change), third]))  # type: ignore[arg-type]


def test_a_missing_event_is_found() -> None:
    first, _, third = chain_of_three()
    assert chain_problems([first, third]) == ["event 2 is missing: the next one is 3"]


def test_an_event_of_another_chain_is_found() -> None:
    first, second, _ = chain_of_three()
    other = next_event(None, NOON, "run created", detail={"n": 9})
    assert chain_problems([other, second]) == ["event 2 (resumed) does not follow event 1"]
    assert chain_problems([first, second]) == []


def test_a_date_before_the_last_event_is_found() -> None:
    first = next_event(None, NOON, "run created")
    honest = next_event(first, NOON, "resumed")
    forged = next_event(replace(first, time="2020-01-01T00:00:00.000000Z"), datetime(2021, 1, 1, tzinfo=UTC), "resumed")
    assert chain_problems([first, honest]) == []
    assert chain_problems([first, forged]) == ["event 2 (resumed) is dated before event 1"]


def test_a_clock_that_goes_back_keeps_the_last_time_and_is_noted() -> None:
    first = next_event(None, NOON, "run created")
    second = next_event(first, NOON - timedelta(hours=1), "resumed", detail={"units": 3})
    assert second.time == first.time
    assert second.detail == {"units": 3, CLOCK_WENT_BACK: 3600.0}
    assert chain_problems([first, second]) == []


def test_times_are_written_in_utc() -> None:
    local = datetime(2026, 1, 2, 13, 0, tzinfo=timezone(timedelta(hours=1)))
    assert next_event(None, local, "resumed").time == "2026-01-02T12:00:00.000000Z"


def test_nan_has_no_canonical_json() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json({"x": float("nan")})


def test_content_digest_covers_rows_their_order_and_artifacts() -> None:
    digests = {
        content_digest(["a", "b"], {"p": "1"}),
        content_digest(["b", "a"], {"p": "1"}),
        content_digest(["a", "b"], {"p": "2"}),
        content_digest(["a", "b"], {"q": "1"}),
        content_digest(["ab"], {"p": "1"}),
    }
    assert len(digests) == 5
