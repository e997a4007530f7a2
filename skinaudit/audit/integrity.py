"""Does everything in a run fit its hash chain? Computed from the stored texts and the bytes on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skinaudit.audit.artifacts import locate, sha256_of_file
from skinaudit.audit.chain import Event, chain_problems, content_digest, detail_digest, sha256_of
from skinaudit.audit.failures import StoreError

#: Kinds of the events that the store itself writes.
CREATED, IMAGE, UNIT = "run created", "image added", "unit finished"


@dataclass(frozen=True)
class StoredRun:
    """The texts of a run as they lie in its database.

    Attributes:
        header: canonical JSON of the header.
        header_sha256: the digest stored beside it.
        images: image id -> its row (a list of one text).
        units: unit id -> its rows, in order.
        artifacts: path inside the run -> SHA-256.
    """

    header: str
    header_sha256: str
    images: Mapping[str, Sequence[str]]
    units: Mapping[str, Sequence[str]]
    artifacts: Mapping[str, str]


def row_problems(events: Sequence[Event], stored: StoredRun) -> list[str]:
    """What does not fit in the database, one sentence each.

    Args:
        events: the run's chain.
        stored: its rows.
    """
    unnamed = sorted(stored.artifacts.keys() - _named_anywhere(stored))
    return [
        *chain_problems(events),
        *_header_problems(events, stored),
        *_row_problems(events, IMAGE, "image", stored.images, stored.artifacts),
        *_row_problems(events, UNIT, "unit", stored.units, stored.artifacts),
        *_detail_problems(events),
        *(f"{relative} is listed, though no row names it" for relative in unnamed),
    ]


def artifact_problems(folder: Path, artifacts: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with the files on disk: path inside the run -> one sentence, for those that do not fit.

    Args:
        folder: the run directory.
        artifacts: path inside the run -> SHA-256, as stored.
    """
    problems = {}
    for relative, digest in sorted(artifacts.items()):
        try:
            path = locate(folder, relative)
            if not path.is_file():
                problems[relative] = f"{relative} is missing"
            elif sha256_of_file(path) != digest:
                problems[relative] = f"{relative} was changed: its bytes do not fit its digest"
        except (StoreError, OSError) as error:
            problems[relative] = f"{relative} cannot be read: {error}"
    return problems


def named_artifacts(body: str) -> list[str]:
    """Paths of the artifacts that a stored row names, sorted.

    Raises:
        ValueError: if the text is not a row.
    """
    row = json.loads(body)
    if not isinstance(row, dict) or not isinstance(row.get("artifacts"), dict):
        raise ValueError("not a row of a run")  # noqa: TRY004 - the text is wrong, not the type
    return sorted({str(path) for path in row["artifacts"].values()})


def _header_problems(events: Sequence[Event], stored: StoredRun) -> list[str]:
    problems = []
    digest = sha256_of(stored.header)
    if digest != stored.header_sha256:
        problems.append("the header was changed: its digest does not fit")
    if not events or events[0].kind != CREATED:
        problems.append(f"the chain does not begin with {CREATED!r}")
    elif events[0].digest != digest:
        problems.append("the header is not the one with which the run was created")
    return problems


def _row_problems(
    events: Sequence[Event], kind: str, noun: str, rows: Mapping[str, Sequence[str]], artifacts: Mapping[str, str]
) -> list[str]:
    committed = {event.unit: event.digest for event in events if event.kind == kind}
    problems = [f"{noun} {key} is missing, though its event is there" for key in committed if key not in rows]
    for key, bodies in sorted(rows.items()):
        if key not in committed:
            problems.append(f"{noun} {key} has no event")
        elif _digest(bodies, artifacts) != committed[key]:
            problems.append(f"{noun} {key} was changed: its rows or the digests of its artifacts do not fit its event")
    return problems


def _digest(bodies: Sequence[str], artifacts: Mapping[str, str]) -> str | None:
    try:
        named = {path for body in bodies for path in named_artifacts(body)}
    except ValueError:
        return None
    return content_digest(bodies, {path: artifacts.get(path, "missing") for path in named})


def _detail_problems(events: Sequence[Event]) -> list[str]:
    return [
        f"event {event.seq} ({event.kind}) was changed: its digest does not fit its detail"
        for event in events
        if event.kind not in {CREATED, IMAGE, UNIT} and event.digest != detail_digest(event.detail)
    ]


def _named_anywhere(stored: StoredRun) -> set[str]:
    named: set[str] = set()
    for bodies in (*stored.images.values(), *stored.units.values()):
        for body in bodies:
            with suppress(ValueError):  # a row that cannot be read is reported with its event
                named.update(named_artifacts(body))
    return named
