from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from skinaudit.audit.reader import RunReader
from skinaudit.audit.store import RunStore
from tests.audit.rows import header, image, record


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed") / "run"
    with RunStore.create_or_resume(folder, header()) as store:
        store.add_image(image("img1", clean=store.put_artifact("img1", "clean.png", b"pixels")))
        store.add_image(image("img2"))
        for name in ("cam", "grad"):
            path = store.put_artifact("img1", f"{name}.npy", name.encode())
            store.add_records(name, [record(name, draw=0, artifacts={"map": path}), record(name, draw=1)])
        store.event("interrupted", {"units": 2})
        store.finish()
    return folder


@pytest.fixture
def folder(sealed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sealed, tmp_path / "run"))


def problems(folder: Path) -> list[str]:
    with RunReader(folder) as reader:
        return reader.verify_chain()


def test_an_untouched_run_has_no_problems(folder: Path) -> None:
    assert problems(folder) == []


CHANGED_UNIT = "unit cam was changed: its rows or the digests of its artifacts do not fit its event"
CHANGED_IMAGE = "image img1 was changed: its rows or the digests of its artifacts do not fit its event"


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE records SET body = replace(body, 'true', 'false') WHERE unit_id = 'cam'", CHANGED_UNIT),
        ("UPDATE records SET body = body || ' ' WHERE unit_id = 'cam'", CHANGED_UNIT),
        ("UPDATE records SET body = '[]' WHERE unit_id = 'cam'", CHANGED_UNIT),
        ("UPDATE records SET position = 5 WHERE unit_id = 'cam' AND position = 0", CHANGED_UNIT),
        ("DELETE FROM records WHERE unit_id = 'cam' AND position = 1", CHANGED_UNIT),
        ("DELETE FROM records WHERE unit_id = 'cam'", "unit cam is missing, though its event is there"),
        ("UPDATE records SET unit_id = 'new' WHERE unit_id = 'cam'", "unit new has no event"),
        ("UPDATE images SET body = replace(body, '\"nv\"', '\"mel\"') WHERE image_id = 'img1'", CHANGED_IMAGE),
        ("DELETE FROM images WHERE image_id = 'img2'", "image img2 is missing, though its event is there"),
        ("INSERT INTO images VALUES ('img3', '{}')", "image img3 has no event"),
        ("UPDATE artifacts SET sha256 = '0' WHERE path LIKE '%cam.npy'", CHANGED_UNIT),
        ("DELETE FROM artifacts WHERE path LIKE '%clean.png'", CHANGED_IMAGE),
        (
            "INSERT INTO artifacts VALUES ('artifacts/img1/extra.npy', '0')",
            "artifacts/img1/extra.npy is listed, though no row names it",
        ),
        ("UPDATE header SET sha256 = '0'", None),
        ("UPDATE header SET body = replace(body, 'quick', 'standard') || ' '", None),
        ("DELETE FROM header", None),
        ("UPDATE events SET kind = 'resumed' WHERE seq = 6", None),
        ("UPDATE events SET detail = '{\"units\":3}' WHERE seq = 6", "event 6 (interrupted) was changed: its digest"),
        ("UPDATE events SET time = '2030' WHERE seq = 3", "event 4 (unit finished) is dated before event 3"),
        ("DELETE FROM events WHERE seq = 4", "event 4 is missing: the next one is 5"),
        ("DELETE FROM events WHERE seq = 1", "the chain does not begin with 'run created'"),
    ],
)
def test_a_change_in_the_database_is_found(folder: Path, statement: str, problem: str | None) -> None:
    with closing(sqlite3.connect(folder / "run.sqlite")) as connection, connection:
        assert connection.execute(statement).rowcount > 0
    found = problems(folder)
    assert found
    assert problem is None or any(line.startswith(problem) for line in found)


def test_a_header_put_in_place_of_the_first_is_found(folder: Path, tmp_path: Path) -> None:
    RunStore.create_or_resume(tmp_path / "other", header(labels_given=False)).close()
    with closing(sqlite3.connect(tmp_path / "other" / "run.sqlite")) as connection:
        row = connection.execute("SELECT body, sha256 FROM header").fetchone()
    with closing(sqlite3.connect(folder / "run.sqlite")) as connection, connection:
        connection.execute("UPDATE header SET body = ?, sha256 = ?", row)
    assert problems(folder) == ["the header is not the one with which the run was created"]


def test_a_changed_byte_of_an_artifact_is_found(folder: Path) -> None:
    (folder / "artifacts/img1/clean.png").write_bytes(b"pixelz")
    assert problems(folder) == ["artifacts/img1/clean.png was changed: its bytes do not fit its digest"]


def test_a_missing_artifact_is_found(folder: Path) -> None:
    (folder / "artifacts/img1/cam.npy").unlink()
    assert problems(folder) == ["artifacts/img1/cam.npy is missing"]


def test_an_artifact_replaced_by_a_link_is_found(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "same bytes").write_bytes(b"pixels")
    (folder / "artifacts/img1/clean.png").unlink()
    (folder / "artifacts/img1/clean.png").symlink_to(tmp_path / "same bytes")
    (line,) = problems(folder)
    assert line.startswith("artifacts/img1/clean.png cannot be read")
