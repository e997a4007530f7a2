from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from skinaudit.audit.artifacts import artifact_path, locate, make_folder, sha256_of_file, sweep, write_durably
from skinaudit.audit.failures import StoreError


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a\\b", "/etc", "a\nb", "ü", "x" * 200])
def test_only_plain_file_names_name_an_artifact(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name an artifact"):
        artifact_path("img1", name)
    with pytest.raises(ValueError, match="cannot name an artifact"):
        artifact_path(name, "map.npy")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x/y",
        "artifacts/../run.sqlite",
        "artifacts/a/../../x",
        "artifacts//a/b",
        "artifacts/./a/b",
        "artifacts/a",
        "artifacts/a/b/c",
        "other/a/b",
        "run.sqlite",
        "",
    ],
)
def test_a_path_out_of_the_artifacts_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(StoreError, match="no artifact path of this run"):
        locate(tmp_path, path)


def test_an_artifact_is_located_whether_or_not_it_is_there(tmp_path: Path) -> None:
    assert locate(tmp_path, "artifacts/img1/map.npy") == tmp_path / "artifacts" / "img1" / "map.npy"


@pytest.mark.parametrize("link", ["artifacts", "artifacts/img1", "artifacts/img1/map.npy"])
def test_a_link_on_the_way_to_an_artifact_is_refused(tmp_path: Path, link: str) -> None:
    elsewhere, run = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.mkdir()
    (run / link).parent.mkdir(parents=True)
    (run / link).symlink_to(elsewhere)
    with pytest.raises(StoreError, match="no artifact path"):
        locate(run, "artifacts/img1/map.npy")


def test_a_file_is_written_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_durably(path, b"old")
    write_durably(path, b"new bytes")
    assert path.read_bytes() == b"new bytes"
    assert list(tmp_path.iterdir()) == [path]
    assert sha256_of_file(path) == hashlib.sha256(b"new bytes").hexdigest()


def test_a_torn_temporary_file_of_an_earlier_process_is_no_obstacle(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    (tmp_path / ".map.npy.part").symlink_to(elsewhere)
    write_durably(tmp_path / "map.npy", b"whole")
    assert (tmp_path / "map.npy").read_bytes() == b"whole"
    assert elsewhere.read_bytes() == b"precious"


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/run cannot be made: .*; check the disk or network share"):
        make_folder(tmp_path / "file" / "run")


def test_sweep_deletes_what_is_not_committed_and_empty_folders(tmp_path: Path) -> None:
    for relative in (
        "artifacts/a/kept.npy",
        "artifacts/a/orphan.npy",
        "artifacts/a/.torn.npy.part",
        "artifacts/b/x.npy",
    ):
        make_folder((tmp_path / relative).parent)
        (tmp_path / relative).write_bytes(b"x")
    (tmp_path / ".results.csv.part").write_bytes(b"x")
    (tmp_path / "report.pdf").write_bytes(b"x")
    assert sweep(tmp_path, {"artifacts/a/kept.npy"}) == 4
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == ["artifacts", "artifacts/a", "artifacts/a/kept.npy", "report.pdf"]
    assert sweep(tmp_path, {"artifacts/a/kept.npy"}) == 0


def test_sweep_never_leaves_the_run(tmp_path: Path) -> None:
    elsewhere, run = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    (run / "artifacts").mkdir(parents=True)
    (run / "artifacts" / "link").symlink_to(elsewhere)
    assert sweep(run, set()) == 1
    (run / "artifacts").rmdir()
    (run / "artifacts").symlink_to(elsewhere)
    with pytest.raises(StoreError, match="symbolic link"):
        sweep(run, set())
    assert (elsewhere / "precious").exists()
