"""A run directory as it is read: what a report, a comparison or a verification sees."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pydantic import ValidationError

from skinaudit.audit.artifacts import locate, write_durably
from skinaudit.audit.chain import Detail, Event, canonical_json, sha256_of
from skinaudit.audit.database import DATABASE_NAME, Database, Row
from skinaudit.audit.export import results_table
from skinaudit.audit.failures import NotARun, RunCorrupt, StoreError
from skinaudit.audit.integrity import StoredRun, artifact_problems, row_problems
from skinaudit.audit.records import ImageRecord, Record, RunHeader
from skinaudit.config import Frozen

#: Kind of the event that ends a run; a later event opens it again.
CLOSED = "run closed"

_EVENTS = "SELECT seq, time, kind, unit, detail, digest, previous, hash FROM events ORDER BY seq"


Parsed = TypeVar("Parsed", bound=Frozen)


class RunContents:
    """What a run holds. Lists are sorted by id, so they do not depend on the order in which units ran.

    Args:
        folder: the run directory.
        database: its open database.
    """

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder = folder
        self._database = database

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the run; a second call does nothing."""
        self._database.close()

    @cached_property
    def header(self) -> RunHeader:
        """What was fixed before the first attack.

        Raises:
            RunCorrupt: if the stored header is not one that this version can read.
        """
        return self._parsed(RunHeader, self._header_text())

    @property
    def is_closed(self) -> bool:
        """Is closing the last thing that happened to the run?"""
        return self._last_event().kind == CLOSED

    @property
    def closed_at(self) -> str:
        """When the run was closed, ISO 8601 in UTC.

        Raises:
            StoreError: if it is not closed.
        """
        last = self._last_event()
        if last.kind != CLOSED:
            raise StoreError(f"{self.folder}: the run is not finished; run the audit command again, it goes on")
        return last.time

    def chain_head(self) -> str:
        """Hash of the last event, 64 hexadecimal digits: it stands for everything in the run."""
        return self._last_event().hash

    def events(self) -> list[Event]:
        """The chain, first event first."""
        return [_event(row) for row in self._database.rows(_EVENTS)]

    def images(self) -> list[ImageRecord]:
        """Every file that was found, sorted by image id."""
        rows = self._database.rows("SELECT body FROM images ORDER BY image_id")
        return [self._parsed(ImageRecord, str(body)) for (body,) in rows]

    def records(self) -> list[Record]:
        """Every verdict and every failed unit, sorted by image id, then unit id."""
        rows = self._database.rows("SELECT body FROM records ORDER BY unit_id, position")
        records = [self._parsed(Record, str(body)) for (body,) in rows]
        return sorted(records, key=lambda record: (record.image_id, record.unit_id))  # a stable sort

    def finished_units(self) -> set[str]:
        """Ids of the units whose records are in the run."""
        return {str(unit) for (unit,) in self._database.rows("SELECT DISTINCT unit_id FROM records")}

    def artifact(self, relative: str) -> Path:
        """Where the artifact that a record names lies on disk.

        Raises:
            StoreError: if the path leads out of the run, or the file is missing.
        """
        path = locate(self.folder, relative)
        if not path.is_file():
            raise StoreError(f"{path} is missing; restore it from a copy, or start anew in another folder")
        return path

    def verify_chain(self) -> list[str]:
        """What does not fit in the run, one sentence each; empty when everything does.

        Hashes of events, header and rows are computed anew, and those of the artifacts from the bytes on disk. Somebody
        who rewrites the whole chain is found only by a chain head kept elsewhere, such as in the report.
        """
        return [*self._row_problems(), *artifact_problems(self.folder, self._committed_artifacts()).values()]

    def _row_problems(self) -> list[str]:
        try:
            return row_problems(self.events(), self._stored())
        except RunCorrupt as error:
            return [str(error)]

    def _stored(self) -> StoredRun:
        rows = self._database.rows
        header = rows("SELECT body, sha256 FROM header")
        images = rows("SELECT image_id, body FROM images")
        records = rows("SELECT unit_id, body FROM records ORDER BY unit_id, position")
        units: dict[str, list[str]] = {}
        for unit, body in records:
            units.setdefault(str(unit), []).append(str(body))
        return StoredRun(
            header=str(header[0][0]) if header else "",
            header_sha256=str(header[0][1]) if header else "",
            images={str(image_id): [str(body)] for image_id, body in images},
            units=units,
            artifacts=self._committed_artifacts(),
        )

    def export_events(self, path: Path) -> None:
        """Writes the chain as ``events.jsonl``, one event a line.

        Raises:
            StoreError: if the file cannot be written.
        """
        write_durably(path, "".join(f"{event.line()}\n" for event in self.events()).encode("utf-8"))

    def export_results(self, path: Path) -> None:
        """Writes the records as ``results.csv``; see ``results_table`` for its form.

        Raises:
            StoreError: if the file cannot be written.
        """
        header, subgroups = self.header, {image.image_id: image.subgroups for image in self.images()}
        table = results_table(self.records(), header.model.classes, header.subgroups, subgroups)
        write_durably(path, table.encode("utf-8"))

    def _parsed(self, kind: type[Parsed], body: str) -> Parsed:
        try:
            return kind.model_validate_json(body)
        except ValidationError as error:
            raise RunCorrupt(
                f"{self.folder}: a row is not a {kind.__name__} that this version of skinaudit reads;"
                " use the version that wrote the run, or restore it from a copy"
            ) from error

    def _header_text(self) -> str:
        rows = self._database.rows("SELECT body, sha256 FROM header")
        if len(rows) != 1 or sha256_of(str(rows[0][0])) != rows[0][1]:
            raise RunCorrupt(f"{self.folder}: its header was changed; restore the run from a copy")
        return str(rows[0][0])

    def _committed_artifacts(self) -> dict[str, str]:
        return {str(path): str(digest) for path, digest in self._database.rows("SELECT path, sha256 FROM artifacts")}

    def _last_event(self) -> Event:
        rows = self._database.rows(f"{_EVENTS} DESC LIMIT 1")
        if not rows:
            raise RunCorrupt(f"{self.folder}: its event log is empty; restore the run from a copy")
        return _event(rows[0])


class RunReader(RunContents):
    """A run opened read-only: nothing in it changes, and another process may be writing it.

    Raises:
        NotARun: if the folder holds no run.
        RunCorrupt: if its database is damaged.
        StoreError: if it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / DATABASE_NAME).exists():
            raise NotARun(f"{folder} is not a run directory: it has no {DATABASE_NAME}; give the folder of a run")
        super().__init__(folder, Database(folder / DATABASE_NAME, writable=False))


def _event(row: Row) -> Event:
    seq, time, kind, unit, detail, digest, previous, hash_ = row
    return Event(
        seq=int(seq or 0),
        time=str(time),
        kind=str(kind),
        unit=None if unit is None else str(unit),
        detail=_detail(str(detail)),
        digest=str(digest),
        previous=str(previous),
        hash=str(hash_),
    )


def _detail(text: str) -> Detail:
    try:
        value = json.loads(text)
        if isinstance(value, dict) and canonical_json(value) == text:
            return value
    except ValueError:
        value = None
    raise RunCorrupt(f"an event was changed: {text[:80]!r} is not a detail that skinaudit writes; restore the run")
