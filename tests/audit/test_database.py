from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from skinaudit.audit.database import UNFINISHED_NAME, Database
from skinaudit.audit.failures import RunCorrupt, StoreError

INSERT = "INSERT INTO artifacts (path, sha256) VALUES (?, ?)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a run? 100%#.sqlite"
    Database.create(path, [(INSERT, ("first", "0"))])
    return path


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with closing(Database(path, writable=True)) as opened:
        yield opened


def tamper(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_it_is_made_with_its_first_rows_and_nothing_else_is_left(path: Path) -> None:
    assert list(path.parent.iterdir()) == [path]
    with closing(Database(path, writable=False)) as database:
        assert database.rows("SELECT path, sha256 FROM artifacts") == [("first", "0")]


def test_it_writes_a_rollback_journal_and_waits_for_the_disk(database: Database) -> None:
    assert database.rows("PRAGMA journal_mode") == [("delete",)]
    assert database.rows("PRAGMA synchronous") == [(2,)]


def test_a_creation_that_fails_leaves_no_database_and_can_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    with pytest.raises(sqlite3.OperationalError):
        Database.create(path, [("INSERT INTO elsewhere VALUES (?)", ("x",))])
    assert not path.exists()
    assert (tmp_path / UNFINISHED_NAME).exists()
    Database.create(path, [])
    assert list(tmp_path.iterdir()) == [path]


def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    def interrupted() -> None:
        with database.transaction():
            database.execute(INSERT, ("second", "0"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert database.rows("SELECT count(*) FROM artifacts") == [(1,)]
    with database.transaction():
        database.execute(INSERT, ("second", "0"))
    assert database.rows("SELECT count(*) FROM artifacts") == [(2,)]


def test_a_write_that_a_killed_process_left_half_done_is_undone_on_opening(path: Path, tmp_path: Path) -> None:
    # A copy of database and journal in the middle of a transaction is what a kill leaves; so small a cache spills.
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, [(f"{number:05}", "x" * 500) for number in range(500)])
        crashed = tmp_path / "crashed.sqlite"
        shutil.copy(path, crashed)
        shutil.copy(f"{path}-journal", f"{crashed}-journal")
    assert crashed.stat().st_size > 100_000
    with pytest.raises(StoreError, match=r"in the middle of a write; run the audit command again, which repairs it"):
        Database(crashed, writable=False)
    with closing(Database(crashed, writable=True)) as database:
        assert database.rows("SELECT path FROM artifacts") == [("first",)]
    assert not Path(f"{crashed}-journal").exists()


def test_read_only_is_read_only(path: Path) -> None:
    with (
        closing(Database(path, writable=False)) as database,
        pytest.raises(StoreError, match=r"is read-only; make the folder writable and run the same command again"),
    ):
        database.execute(INSERT, ("second", "0"))


def test_a_full_database_is_one_clear_line_and_goes_on_when_there_is_space(database: Database) -> None:
    (pages,) = database.rows("PRAGMA page_count")[0]
    database.rows(f"PRAGMA max_page_count = {pages}")
    with (
        pytest.raises(StoreError, match=r"the disk is full; free space and run the same command again"),
        database.transaction(),
    ):
        database.execute(INSERT, ("second", "x" * 100_000))
    assert database.rows("SELECT path FROM artifacts") == [("first",)]
    database.rows("PRAGMA max_page_count = 100000")
    with database.transaction():
        database.execute(INSERT, ("second", "x" * 100_000))
    assert database.rows("SELECT path FROM artifacts") == [("first",), ("second",)]


def test_a_database_held_by_another_program_is_one_clear_line(path: Path, database: Database) -> None:
    database.rows("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="is held by another program"), database.transaction():
            pass


def test_an_empty_file_is_corrupt(path: Path) -> None:
    path.write_bytes(b"")
    with pytest.raises(RunCorrupt, match="is damaged: it is empty"):
        Database(path, writable=True)
    assert path.read_bytes() == b""


def test_zeroes_are_corrupt(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(RunCorrupt, match="is damaged: file is not a database"):
        Database(path, writable=True)


def test_a_cut_off_file_is_corrupt(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RunCorrupt, match="is damaged"):
        Database(path, writable=True)


def test_a_page_overwritten_with_noise_is_corrupt(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-4096:-3900] = b"\xa5" * 196
    path.write_bytes(data)
    with pytest.raises(RunCorrupt, match="is damaged"):
        Database(path, writable=False)


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(path)
    with pytest.raises(RunCorrupt, match="not a plain file"):
        Database(link, writable=True)


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    tamper(tmp_path / "other.sqlite", "CREATE TABLE t (x)")
    with pytest.raises(RunCorrupt, match="was not written by skinaudit"):
        Database(tmp_path / "other.sqlite", writable=True)


def test_a_format_of_the_future_is_refused(path: Path) -> None:
    tamper(path, "PRAGMA user_version = 99")
    with pytest.raises(RunCorrupt, match="has a format that this version of skinaudit does not know"):
        Database(path, writable=True)


def test_a_trigger_in_a_run_from_elsewhere_is_refused(path: Path) -> None:
    tamper(path, "CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM events; END")
    with pytest.raises(RunCorrupt, match="its tables are not those of a run"):
        Database(path, writable=True)


def test_a_mistake_of_ours_is_not_called_a_full_disk(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        database.rows("SELECT * FROM elsewhere")


def test_closing_twice_is_harmless(path: Path) -> None:
    database = Database(path, writable=False)
    database.close()
    database.close()
