"""Opening files that somebody else put there."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from skinaudit.images.refusal import ImageRefused


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, without following a link and without waiting on a pipe.

    Raises:
        ImageRefused: a link, folder or special file, or it cannot be opened; the reason holds no path.
    """
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise ImageRefused("symbolic link")
        if not stat.S_ISREG(mode):
            raise ImageRefused("a folder, not a file" if stat.S_ISDIR(mode) else "not a regular file")
        # The flags close the gap between the look above and the opening; Windows lacks the latter two.
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        return os.fdopen(os.open(path, flags), "rb")
    except FileNotFoundError as error:
        raise ImageRefused("the file is missing", "unreadable") from error
    except OSError as error:
        raise ImageRefused(f"cannot be opened: {error.strerror}", "unreadable") from error
