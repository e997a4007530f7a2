from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from skinaudit.audit.failures import RunCorrupt, StoreError, one_line_for


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "free space and run the same command again"),
        (errno.EDQUOT, "free space and run the same command again"),
        (errno.EROFS, "make the folder writable and run the same command again"),
        (errno.EACCES, "make the folder writable and run the same command again"),
        (errno.EIO, "check the disk or network share and run the same command again"),
    ],
)
def test_an_error_of_the_file_system_names_file_cause_and_remedy(code: int, advice: str) -> None:
    with pytest.raises(StoreError) as caught, one_line_for(Path("run/results.csv"), "written"):
        raise OSError(code, os.strerror(code))
    assert str(caught.value) == f"run/results.csv cannot be written: {os.strerror(code)}; {advice}"


def test_other_errors_pass() -> None:
    with pytest.raises(RunCorrupt, match=r"^as it was$"), one_line_for(Path("run"), "read"):
        raise RunCorrupt("as it was")
