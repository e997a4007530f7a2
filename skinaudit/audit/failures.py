"""The errors with which a run directory says no. Each message is one line that ends with what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_WRITABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})

FREE_SPACE = "free space and run the same command again"
MAKE_WRITABLE = "make the folder writable and run the same command again"
TRY_AGAIN = "check the disk or network share and run the same command again"


class StoreError(Exception):
    """A run directory cannot be read or written now; what was committed before is untouched."""


class NotARun(StoreError):
    """The folder holds something else."""


class HalfWritten(StoreError):
    """A kill left the database in the middle of a write; opening it for writing repairs it."""


class RunLocked(StoreError):
    """Another process is working on the run."""


class RunGone(StoreError):
    """The run directory was taken away, or given to another process, while this one worked in it."""


class RunDiffers(StoreError):
    """The run was started with another model, other images, other settings or another version of the tool."""


class RunCorrupt(StoreError):
    """The run's database is damaged, or was written by something else."""


class AlreadyStored(StoreError):
    """The run already holds this image or unit; a stored row never changes."""


@contextmanager
def one_line_for(thing: Path, doing: str) -> Iterator[None]:
    """Turns an error of the file system into a StoreError that names the file, the cause and what to do.

    Args:
        thing: the file or folder that is worked on.
        doing: the verb for the message, such as "written".

    Raises:
        StoreError: in place of any OSError of the block.
    """
    try:
        yield
    except OSError as error:
        advice = TRY_AGAIN
        if error.errno in _NO_SPACE:
            advice = FREE_SPACE
        elif error.errno in _NOT_WRITABLE:
            advice = MAKE_WRITABLE
        raise StoreError(f"{thing} cannot be {doing}: {error.strerror or error}; {advice}") from error
