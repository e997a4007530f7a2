"""One writer per run directory: a lock file that the operating system lets go when its process dies."""

from __future__ import annotations

import fcntl
import os
import weakref
from contextlib import suppress
from pathlib import Path

from skinaudit.audit.failures import RunLocked, one_line_for

#: Name of the lock file inside a run directory; it is there only while a process works on the run.
LOCK_NAME = ".lock"


class RunLock:
    """Held from construction to ``release``.

    ``flock`` and not the mere presence of the file decides, so a file left by a killed process blocks nobody.

    Raises:
        RunLocked: if another process, or another store of this one, holds it.
        StoreError: if the file system gives no locks or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        self._descriptor: int | None = None
        with one_line_for(self._path, "locked"):
            while self._descriptor is None:
                self._descriptor = self._attempt(folder)
        # A forked worker that outlives a killed parent must not go on holding the parent's lock.
        forget = weakref.WeakMethod(self._close_descriptor)
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    def release(self) -> None:
        """Removes the lock file and lets the lock go; a second call does nothing."""
        if self._descriptor is None:
            return
        with suppress(OSError):  # the lock itself goes with the descriptor
            self._path.unlink()
        self._close_descriptor()

    def _attempt(self, folder: Path) -> int | None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            self._seize(descriptor, folder)
            if self._is_current(descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    @staticmethod
    def _seize(descriptor: int, folder: Path) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:  # the latter is how some network shares say "held"
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            who = f"process {owner}" if owner.isdigit() else "another process"
            raise RunLocked(
                f"{folder}: {who} is working on this run; wait until it ends, or stop it and run the same command again"
            ) from error

    def _is_current(self, descriptor: int) -> bool:
        # The holder before us may have removed the file between our opening and our locking it.
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat(follow_symlinks=False))
        except FileNotFoundError:
            return False

    def _close_descriptor(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
