"""A run directory as it is written: artifacts first, then one transaction with their digests, the rows and an event.

So whatever moment a process is killed at, a row never names bytes that are not on disk; at worst there are files that
no row names, and those are swept when the run goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from skinaudit.audit.artifacts import artifact_path, locate, make_folder, sha256_of_file, sweep, write_durably
from skinaudit.audit.chain import Detail, canonical_json, content_digest, next_event
from skinaudit.audit.database import DATABASE_NAME, Database, Row
from skinaudit.audit.failures import AlreadyStored, RunCorrupt, one_line_for
from skinaudit.audit.integrity import CREATED, IMAGE, UNIT, artifact_problems, named_artifacts
from skinaudit.audit.lock import RunLock
from skinaudit.audit.opening import INSERT_EVENT, create_run, event_row, refuse_foreign
from skinaudit.audit.reader import CLOSED, RunContents
from skinaudit.audit.records import ImageRecord, Record, RunHeader
from skinaudit.audit.resume import refuse_differing

_OWN_KINDS = frozenset({CREATED, IMAGE, UNIT, CLOSED})

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The machine's time, in UTC."""
    return datetime.now(UTC)


class RunStore(RunContents):
    """The one writer of a run directory; made by ``create_or_resume``.

    While it is open, nothing else in the process may open ``run.sqlite`` (not even to hash it): closing any handle of
    that file drops the locks that SQLite holds on it. So close the store before the run is sealed.
    """

    def __init__(self, folder: Path, database: Database, lock: RunLock, clock: Clock) -> None:
        super().__init__(folder, database)
        self._lock = lock
        self._clock = clock
        self._pending: dict[str, str] = {}  # artifacts on disk that no row names yet

    @classmethod
    def create_or_resume(cls, folder: Path, header: RunHeader, *, clock: Clock = utc_now) -> Self:
        """Starts a run in a new or empty folder, or goes on with the one that is there.

        Args:
            folder: the run directory.
            header: what decides the run. One that goes on keeps its stored header.
            clock: gives the time of events.

        Raises:
            NotARun: if the folder holds something else.
            RunLocked: if another process works on the run.
            RunDiffers: if the run there was started with something else that decides results.
            RunCorrupt: if its database is damaged.
            StoreError: if the disk is full or not writable.
        """
        refuse_foreign(folder)
        make_folder(folder)
        lock = RunLock(folder)
        try:
            refuse_foreign(folder)  # again, now that nobody else can change it
            path = folder / DATABASE_NAME
            if not path.exists():
                create_run(path, header, clock())
            store = cls(folder, Database(path, writable=True), lock, clock)
        except BaseException:
            lock.release()
            raise
        try:
            store._refuse_differing(header)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Lets go of the run and its lock; a second call does nothing."""
        super().close()
        self._lock.release()

    def put_artifact(self, image_id: str, name: str, data: bytes) -> str:
        """Puts a file into the run, whole and durable, for a row that is added next.

        Args:
            image_id: the image it belongs to.
            name: file name, such as ``map-cam.npy``; unique within the image.
            data: the bytes.

        Returns:
            The path inside the run, with forward slashes, as a row's ``artifacts`` name it.

        Raises:
            ValueError: if a name is not a plain file name.
            AlreadyStored: if a row of the run already names a file of this name with other bytes.
            RunGone: if the run directory was taken away.
            StoreError: if the disk is full or not writable.
        """
        self._lock.confirm()
        relative = artifact_path(image_id, name)
        path = locate(self.folder, relative)
        digest = hashlib.sha256(data).hexdigest()
        committed = self._database.rows("SELECT sha256 FROM artifacts WHERE path = ?", (relative,))
        if committed and committed != [(digest,)]:
            raise AlreadyStored(
                f"{path} is part of the run already, with other bytes, and stored artifacts never change;"
                " restore it from a copy, or start anew in another folder"
            )
        if not committed or not _is_whole(path, digest):
            make_folder(path.parent)
            write_durably(path, data)
        if not committed:
            self._pending[relative] = digest
        return relative

    def add_image(self, record: ImageRecord) -> None:
        """Commits one image with the artifacts it names.

        Raises:
            ValueError: if it names an artifact that was not put, or holds NaN.
            AlreadyStored: if the run already holds the image.
            StoreError: if the disk is full or not writable.
        """
        rows = _texts("image", record.image_id, [record])
        with self._transaction():
            if self._database.rows("SELECT 1 FROM images WHERE image_id = ?", (record.image_id,)):
                raise AlreadyStored(f"{self.folder}: image {record.image_id} is in the run already")
            self._database.execute("INSERT INTO images (image_id, body) VALUES (?, ?)", (record.image_id, rows[0]))
            self._commit(IMAGE, record.image_id, rows, {"status": record.status})
        self._forget(rows)

    def add_records(self, unit_id: str, records: Sequence[Record]) -> None:
        """Commits all records of one work unit with the artifacts they name.

        Raises:
            ValueError: if there is none, one is of another unit, names an artifact that was not put, or holds NaN.
            AlreadyStored: if the run already holds the unit.
            StoreError: if the disk is full or not writable.
        """
        if not records or any(record.unit_id != unit_id for record in records):
            raise ValueError(f"unit {unit_id}: give at least one record, and only records of this unit")
        rows = _texts("unit", unit_id, records)
        with self._transaction():
            if self._database.rows("SELECT 1 FROM records WHERE unit_id = ? LIMIT 1", (unit_id,)):
                raise AlreadyStored(f"{self.folder}: unit {unit_id} is in the run already")
            for position, body in enumerate(rows):
                values: Row = (unit_id, position, body)
                self._database.execute("INSERT INTO records (unit_id, position, body) VALUES (?, ?, ?)", values)
            self._commit(UNIT, unit_id, rows, {"records": len(rows)})
        self._forget(rows)

    def event(self, kind: str, detail: Detail) -> None:
        """Adds to the chain something that happened, such as "interrupted"; it opens a closed run again.

        Raises:
            ValueError: if the kind is one that the store writes itself, or the detail holds NaN.
            StoreError: if the disk is full or not writable.
        """
        if kind in _OWN_KINDS:
            raise ValueError(f"{kind!r} is an event that the store writes itself")
        self._tell(kind, detail)

    def finish(self) -> str:
        """Closes the run for its report: sweeps what no row names, then adds the event that ends the chain.

        A run that is closed already stays as it is, so its report keeps its date.

        Returns:
            The chain head.

        Raises:
            StoreError: if the disk is full or not writable.
        """
        self.sweep_orphans()
        if not self.is_closed:
            counts = self._database.rows("SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM records)")[0]
            self._tell(CLOSED, {"images": int(counts[0] or 0), "records": int(counts[1] or 0)})
        return self.chain_head()

    def damaged(self) -> set[str]:
        """Ids of the images and units of which a stored file is missing or not as it was; see ``put_artifact``.

        Call it when a run goes on: what is damaged can be computed again, and is put back where its bytes are the same.

        Raises:
            RunCorrupt: if the rows themselves do not fit the chain.
        """
        problems = self._row_problems()
        if problems:
            raise RunCorrupt(
                f"{self.folder}: the records are not those that the audit wrote: {problems[0]};"
                " restore the run from a copy, or start anew in another folder"
            )
        stored = self._stored()
        wrong = artifact_problems(self.folder, stored.artifacts).keys()
        rows = [*stored.images.items(), *stored.units.items()]
        return {key for key, bodies in rows if any(wrong & set(named_artifacts(body)) for body in bodies)}

    def sweep_orphans(self) -> int:
        """Deletes files that no committed row names; call it when a run goes on, before units run.

        Returns:
            How many files were deleted.

        Raises:
            StoreError: if something cannot be deleted.
        """
        self._pending.clear()
        return sweep(self.folder, self._committed_artifacts().keys())

    def _refuse_differing(self, header: RunHeader) -> None:
        refuse_differing(self.folder, json.loads(self._header_text()), header.model_dump(mode="json"))

    def _commit(self, kind: str, unit: str, rows: Sequence[str], detail: Detail) -> None:
        committed = self._committed_digests(rows)
        for path, digest in committed.items():
            # A path that is there already has this very digest: put_artifact sees to it.
            self._database.execute("INSERT OR IGNORE INTO artifacts (path, sha256) VALUES (?, ?)", (path, digest))
        self._append(kind, content_digest(rows, committed), unit, detail)

    def _committed_digests(self, rows: Sequence[str]) -> dict[str, str]:
        digests = {}
        for path in sorted({path for body in rows for path in named_artifacts(body)}):
            stored = self._database.rows("SELECT sha256 FROM artifacts WHERE path = ?", (path,))
            digest = str(stored[0][0]) if stored else self._pending.get(path)
            if digest is None:
                raise ValueError(f"{path!r} was not put into the run; call put_artifact before the row that names it")
            digests[path] = digest
        return digests

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._lock.confirm()
        with self._database.transaction():
            yield

    def _tell(self, kind: str, detail: Detail) -> None:
        with self._transaction():
            self._append(kind, None, None, detail)

    def _append(self, kind: str, digest: str | None, unit: str | None, detail: Detail) -> None:
        event = next_event(self._last_event(), self._clock(), kind, digest=digest, unit=unit, detail=detail)
        self._database.execute(INSERT_EVENT, event_row(event))

    def _forget(self, rows: Sequence[str]) -> None:
        for body in rows:
            for path in named_artifacts(body):
                self._pending.pop(path, None)


def _is_whole(path: Path, digest: str) -> bool:
    with one_line_for(path, "read"):
        return path.is_file() and sha256_of_file(path) == digest


def _texts(noun: str, key: str, records: Sequence[ImageRecord] | Sequence[Record]) -> list[str]:
    try:
        return [canonical_json(record.model_dump(mode="json")) for record in records]
    except ValueError as error:
        raise ValueError(f"{noun} {key} holds NaN or infinity, which a verdict never is") from error
