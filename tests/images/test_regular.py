"""Only regular files are opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from skinaudit.images.refusal import ImageRefused
from skinaudit.images.regular import open_regular


def _reason(path: Path) -> tuple[str, bool]:
    with pytest.raises(ImageRefused) as caught:
        open_regular(path)
    return caught.value.reason, caught.value.refused


def test_a_regular_file_is_read_from_its_start(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with open_regular(tmp_path / "a") as stream:
        assert stream.read() == b"abc"


def test_folders_links_and_missing_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert _reason(tmp_path) == ("a folder, not a file", True)
    assert _reason(tmp_path / "link") == ("symbolic link", True)
    assert _reason(tmp_path / "none") == ("the file is missing", False)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a POSIX thing")
def test_a_pipe_without_a_writer_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert _reason(tmp_path / "pipe") == ("not a regular file", True)


def test_a_name_that_the_system_cannot_take_is_unreadable_and_not_quoted(tmp_path: Path) -> None:
    reason, refused = _reason(tmp_path / ("Meyer" * 100))
    assert reason.startswith("cannot be opened: ")
    assert "Meyer" not in reason
    assert not refused
