from __future__ import annotations

import os
from pathlib import Path

import pytest

from skinaudit.classifier.files import list_files, read_file, size_of_file
from skinaudit.classifier.refusal import ModelRefused


def test_files_are_listed_with_their_folders(tmp_path: Path) -> None:
    for name in ("b/c/d.txt", "b/a.txt", "a.txt", "z/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    assert list_files(tmp_path) == ["a.txt", "b/a.txt", "b/c/d.txt", "z/.hidden"]


def test_folders_deeper_than_a_path_may_be_are_refused(tmp_path: Path) -> None:
    here, depth = os.open(tmp_path, os.O_RDONLY), 30
    for _ in range(depth):
        os.mkdir("x" * 200, dir_fd=here)
        inner = os.open("x" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    with pytest.raises(ModelRefused, match="x/ cannot be listed: File name too long"):
        list_files(tmp_path)


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_file(tmp_path / "a", 5) == b"12345"
    assert size_of_file(tmp_path / "a", 5) == 5
    with pytest.raises(ModelRefused, match=r"^a: 5 bytes; such a file may have at most 4"):
        read_file(tmp_path / "a", 4)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelRefused, match="not a regular file"):
        read_file(tmp_path / "pipe", 4)
    with pytest.raises(ModelRefused, match="cannot be read: No such file"):
        read_file(tmp_path / "nothing", 4)
