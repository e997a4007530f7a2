"""The SQLite file of a run: opened strictly, written in whole transactions, its errors in plain words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from skinaudit.audit.artifacts import sync_folder
from skinaudit.audit.failures import (
    FREE_SPACE,
    MAKE_WRITABLE,
    TRY_AGAIN,
    HalfWritten,
    RunCorrupt,
    StoreError,
    one_line_for,
)

#: Name of the database inside a run directory.
DATABASE_NAME = "run.sqlite"
#: A run is created under this name and renamed when it is whole: ``run.sqlite`` never exists half made.
UNFINISHED_NAME = "run.sqlite.new"

_APPLICATION_ID = 0x534B4155  # "SKAU"
_VERSION = 1
_WAIT_SECONDS = 30.0
_TABLES = (
    "CREATE TABLE header (only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT NOT NULL, sha256 TEXT NOT NULL)",
    (
        "CREATE TABLE events (seq INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, unit TEXT,"
        " detail TEXT NOT NULL, digest TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL)"
    ),
    "CREATE TABLE images (image_id TEXT PRIMARY KEY, body TEXT NOT NULL)",
    (
        "CREATE TABLE records (unit_id TEXT NOT NULL, position INTEGER NOT NULL, body TEXT NOT NULL,"
        " PRIMARY KEY (unit_id, position))"
    ),
    "CREATE TABLE artifacts (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL)",
)

_START_ANEW = "restore it from a copy, or start anew in another folder"

Value = str | int | None
Row = tuple[Value, ...]


class Database:
    """A connection to ``run.sqlite``, checked before the first use.

    Rollback journal and ``synchronous=FULL``: a write-ahead log needs shared memory, which network shares lack.

    Args:
        path: an existing database.
        writable: False opens it read-only; nothing on disk changes then.

    Raises:
        RunCorrupt: if the file is damaged or not a run of this format.
        StoreError: if it cannot be opened.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        self._path = path
        if path.is_symlink() or not path.is_file():
            raise RunCorrupt(f"{path} is damaged: it is not a plain file; {_START_ANEW}")
        with self._plain_errors():
            self._connection = _connect(path, "rw" if writable else "ro")
            try:
                self._configure()
                self._check()
                if writable:
                    self._connection.execute("PRAGMA journal_mode = DELETE")
            except BaseException:
                self._connection.close()
                raise

    @classmethod
    def create(cls, path: Path, inserts: Sequence[tuple[str, Row]]) -> None:
        """Makes a database with its first rows; ``path`` appears only when all of it is on disk.

        Args:
            path: where; must not exist.
            inserts: statements and values that fill it.

        Raises:
            StoreError: if it cannot be written.
        """
        unfinished = path.with_name(UNFINISHED_NAME)
        with one_line_for(path, "made"), _plain_errors(path):
            for leftover in unfinished_files(path.parent):
                leftover.unlink()
            connection = _connect(unfinished, "rwc")
            try:
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                connection.execute("BEGIN IMMEDIATE")
                for table in _TABLES:
                    connection.execute(table)
                for statement, values in inserts:
                    connection.execute(statement, values)
                connection.execute("COMMIT")
            finally:
                connection.close()
            unfinished.rename(path)
            sync_folder(path.parent)

    def rows(self, statement: str, values: Row = ()) -> list[Row]:
        """All rows that a statement gives.

        Raises:
            RunCorrupt, StoreError: see the class.
        """
        with self._plain_errors():
            return [tuple(row) for row in self._connection.execute(statement, values)]

    def execute(self, statement: str, values: Row) -> None:
        """Runs a statement that gives no rows, inside a ``transaction``.

        Raises:
            RunCorrupt, StoreError: see the class.
        """
        with self._plain_errors():
            self._connection.execute(statement, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes of the block reach the disk together when it ends, or none does.

        Raises:
            StoreError: if the disk is full, not writable or read by another program for too long.
        """
        with self._plain_errors():
            self._roll_back()  # in case the disk failed in the middle of an earlier one
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._roll_back()
                raise

    def close(self) -> None:
        """Lets the file go; a second call does nothing."""
        self._connection.close()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        with _plain_errors(self._path):
            yield

    def _configure(self) -> None:
        for setting in ("synchronous = FULL", "trusted_schema = OFF", "cell_size_check = ON"):
            self._connection.execute(f"PRAGMA {setting}")

    def _check(self) -> None:
        if self._path.stat().st_size == 0:
            raise RunCorrupt(f"{self._path} is damaged: it is empty; {_START_ANEW}")
        if self.rows("PRAGMA application_id") != [(_APPLICATION_ID,)]:
            raise RunCorrupt(f"{self._path} was not written by skinaudit; choose another folder")
        if self.rows("PRAGMA user_version") != [(_VERSION,)]:
            raise RunCorrupt(f"{self._path} has a format that this version of skinaudit does not know; use the other")
        # Nothing but our tables: a trigger or a view in a run from elsewhere could change what our statements do.
        schema = self.rows("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        if sorted(str(sql) for (sql,) in schema) != sorted(_TABLES):
            raise RunCorrupt(f"{self._path} is damaged: its tables are not those of a run; {_START_ANEW}")
        found = self.rows("PRAGMA quick_check(1)")
        if found != [("ok",)]:
            raise RunCorrupt(f"{self._path} is damaged: {' '.join(str(found[0][0]).split())}; {_START_ANEW}")


def unfinished_files(folder: Path) -> list[Path]:
    """What a creation that was killed may have left in a folder."""
    return [path for path in (folder / UNFINISHED_NAME, folder / f"{UNFINISHED_NAME}-journal") if path.exists()]


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=_WAIT_SECONDS)


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        in_words = _in_words(path, getattr(error, "sqlite_errorname", ""), str(error))
        if in_words is None:
            raise
        raise in_words from error


def _in_words(path: Path, name: str, message: str) -> StoreError | None:
    """The error for a result code of SQLite (https://sqlite.org/rescode.html); None where it can only be a bug."""
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return RunCorrupt(f"{path} is damaged: {message}; {_START_ANEW}")
    if name == "SQLITE_READONLY_ROLLBACK":
        return HalfWritten(f"{path} was left in the middle of a write; run the audit command again, which repairs it")
    problems = {
        "SQLITE_READONLY_DBMOVED": "was removed or moved while the audit wrote to it; put it back and try again",
        "SQLITE_FULL": f"cannot be written: the disk is full; {FREE_SPACE}",
        "SQLITE_READONLY": f"cannot be written: it is read-only; {MAKE_WRITABLE}",
        "SQLITE_BUSY": "is held by another program; close it and run the same command again",
        "SQLITE_IOERR": f"cannot be read or written: {message}, perhaps a full disk; {FREE_SPACE}",
        "SQLITE_CANTOPEN": f"cannot be opened: {message}; {TRY_AGAIN}",
    }
    for code, problem in problems.items():
        if name.startswith(code):
            return StoreError(f"{path} {problem}")
    return None
