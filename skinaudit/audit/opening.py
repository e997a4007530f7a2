"""How a run directory begins: in a folder that is nobody else's, with a header and a first event."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from skinaudit.audit.chain import Event, canonical_json, next_event, sha256_of
from skinaudit.audit.database import DATABASE_NAME, Database, Row, unfinished_files
from skinaudit.audit.failures import NotARun, one_line_for
from skinaudit.audit.integrity import CREATED
from skinaudit.audit.lock import LOCK_NAME
from skinaudit.audit.records import RunHeader

INSERT_EVENT = (
    "INSERT INTO events (seq, time, kind, unit, detail, digest, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def refuse_foreign(folder: Path) -> None:
    """A run begins in a folder that is new, empty, or holds a run already.

    Raises:
        NotARun: it is none of these.
    """
    with one_line_for(folder, "read"):
        if not folder.exists() or (folder / DATABASE_NAME).exists():
            return
        if not folder.is_dir():
            raise NotARun(f"{folder} is a file; give a new or empty folder for the run")
        own = {LOCK_NAME, *(path.name for path in unfinished_files(folder))}
        others = sorted(path.name for path in folder.iterdir() if path.name not in own)
    if others:
        raise NotARun(f"{folder} is not empty and holds no run (there is {others[0]!r}); give a new or empty folder")


def create_run(path: Path, header: RunHeader, now: datetime) -> None:
    """The database of a new run, with its header and the event that opens it."""
    body = canonical_json(header.model_dump(mode="json"))
    # A clock that was set back since then must not make a run that was closed before it was opened.
    opened = max(now, datetime.fromisoformat(header.created))
    event = next_event(None, opened, CREATED, digest=sha256_of(body))
    header_row: Row = (body, sha256_of(body))
    Database.create(
        path,
        [
            ("INSERT INTO header (only, body, sha256) VALUES (1, ?, ?)", header_row),
            (INSERT_EVENT, event_row(event)),
        ],
    )


def event_row(event: Event) -> Row:
    """An event as ``INSERT_EVENT`` takes it."""
    detail = canonical_json(dict(event.detail))
    return (event.seq, event.time, event.kind, event.unit, detail, event.digest, event.previous, event.hash)
