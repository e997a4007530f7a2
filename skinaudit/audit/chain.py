"""Hash-chained events: each carries the hash of the one before, so no earlier one can change unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

#: What the first event names as its predecessor.
GENESIS = "0" * 64

#: Key under which an event says that the machine's clock was set back before it.
CLOCK_WENT_BACK = "clock_went_back_seconds"

Detail = Mapping[str, str | int | float]


@dataclass(frozen=True)
class Event:
    """One link of the chain.

    Attributes:
        seq: 1, 2, 3 …
        time: ISO 8601 in UTC with microseconds; never earlier than that of the event before.
        kind: what happened, in words.
        unit: image id or unit id that the event commits, if any.
        detail: a few values for a reader of the log.
        digest: SHA-256 of what the event commits (header, rows with their artifacts, or the detail).
        previous: hash of the event before, or GENESIS.
        hash: SHA-256 of the canonical JSON of all other fields.
    """

    seq: int
    time: str
    kind: str
    unit: str | None
    detail: Detail
    digest: str
    previous: str
    hash: str

    def line(self) -> str:
        """The event as one line of canonical JSON."""
        return canonical_json(asdict(self))


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8 left as it is.

    Raises:
        ValueError: for NaN and infinity, which JSON does not have.

    >>> canonical_json({"b": 1, "a": [0.5, "é"]})
    '{"a":[0.5,"é"],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def content_digest(rows: Sequence[str], artifacts: Mapping[str, str]) -> str:
    """Digest that an event carries for what it commits.

    Args:
        rows: the rows' stored JSON texts, in order.
        artifacts: path inside the run -> SHA-256, for every artifact that the rows name.
    """
    return sha256_of(canonical_json({"artifacts": dict(artifacts), "records": list(rows)}))


def detail_digest(detail: Detail) -> str:
    """Digest of an event that commits nothing but its detail."""
    return sha256_of(canonical_json(dict(detail)))


def next_event(
    last: Event | None,
    now: datetime,
    kind: str,
    *,
    digest: str | None = None,
    unit: str | None = None,
    detail: Detail | None = None,
) -> Event:
    """The event that follows ``last`` (None: the first of a chain).

    Args:
        last: the end of the chain so far.
        now: the machine's time, with a time zone. If it lies before the last event's, that time is kept and the
            difference is noted in the detail under CLOCK_WENT_BACK.
        kind: what happened, in words.
        digest: SHA-256 of what the event commits; None: of the detail itself.
        unit: image id or unit id that the event commits.
        detail: a few values for a reader of the log.

    Raises:
        ValueError: if a value of the detail is NaN or infinite.
    """
    time = _iso(now)
    noted = dict(detail or {})
    if last is not None and time < last.time:
        noted[CLOCK_WENT_BACK] = round((datetime.fromisoformat(last.time) - now).total_seconds(), 6)
        time = last.time
    event = Event(
        seq=1 if last is None else last.seq + 1,
        time=time,
        kind=kind,
        unit=unit,
        detail=noted,
        digest=detail_digest(noted) if digest is None else digest,
        previous=GENESIS if last is None else last.hash,
        hash="",
    )
    return replace(event, hash=event_hash(event))


def event_hash(event: Event) -> str:
    """SHA-256 of the canonical JSON of every field but the hash itself."""
    fields = asdict(event)
    del fields["hash"]
    return sha256_of(canonical_json(fields))


def chain_problems(events: Sequence[Event]) -> list[str]:
    """What is wrong with a chain, one sentence each; empty when every link holds."""
    problems = []
    previous, time = GENESIS, ""
    for expected, event in enumerate(events, start=1):
        if event.seq != expected:
            problems.append(f"event {expected} is missing: the next one is {event.seq}")
            return problems
        if event.hash != event_hash(event):
            problems.append(f"event {event.seq} ({event.kind}) was changed: its hash does not fit its content")
        if event.previous != previous:
            problems.append(f"event {event.seq} ({event.kind}) does not follow event {event.seq - 1}")
        if event.time < time:
            problems.append(f"event {event.seq} ({event.kind}) is dated before event {event.seq - 1}")
        previous, time = event.hash, event.time
    return problems


def _iso(now: datetime) -> str:
    # A fixed width, so that times compare as texts.
    return now.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
