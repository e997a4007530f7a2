"""One writer per run directory: a lock file that the operating system lets go when its process dies."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from skinaudit.audit.failures import RunGone, RunLocked, one_line_for

#: Name of the lock file inside a run directory; it is there only while a process works on the run.
LOCK_NAME = ".lock"

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MOST_BYTES = 400
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]")
_UNKNOWN = "-"


@dataclass(frozen=True)
class Owner:
    """Who wrote a lock file: process id, name of the machine, and what tells its running kernel from any other."""

    process: str
    host: str
    boot: str

    @classmethod
    def here(cls) -> Self:
        """This process."""
        boot = ""
        with suppress(OSError):  # Linux only
            boot = _BOOT.read_text(encoding="ascii").strip()
        return cls(str(os.getpid()), _plain(platform.node()), _plain(boot))

    @classmethod
    def read(cls, descriptor: int) -> Self:
        """The owner that a lock file names; what it does not name is unknown, whatever else stands in it."""
        words = os.pread(descriptor, _MOST_BYTES, 0).decode("ascii", "replace").split()
        words += [_UNKNOWN] * 3
        return cls(words[0] if words[0].isdigit() else _UNKNOWN, _plain(words[1]), _plain(words[2]))

    def line(self) -> str:
        """What stands in the file."""
        return f"{self.process} {self.host} {self.boot}\n"

    def on_another_machine(self, here: Owner) -> bool:
        """Is this the process of a machine that runs besides ours?

        A name alone may be new in every container, and a kernel's mark is new after every start: one that is the same
        is enough to know that the two are one machine.
        """
        if self.host in {_UNKNOWN, here.host}:
            return False
        return self.boot == _UNKNOWN or self.boot != here.boot

    def words(self) -> str:
        """The owner for a person."""
        process = "another process" if self.process == _UNKNOWN else f"process {self.process}"
        return process if self.host == _UNKNOWN else f"{process} on {self.host}"


class RunLock:
    """Held from construction to ``release``.

    ``flock`` and not the mere presence of the file decides, so a file left by a killed process blocks nobody. Only a
    file that another machine left does: a network share may keep each machine's locks to itself.

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

    def confirm(self) -> None:
        """Make sure that the run is still ours before something is written into it.

        Raises:
            RunGone: if the folder or its lock file was removed, moved or replaced.
        """
        with one_line_for(self._path, "read"):
            if self._descriptor is not None and self._is_current(self._descriptor):
                return
        raise RunGone(
            f"{self._path.parent} was removed, moved or replaced while the audit worked in it, so nothing more is"
            " written; put it back and run the same command again, or begin anew in another folder"
        )

    def release(self) -> None:
        """Removes the lock file and lets the lock go; a second call does nothing."""
        if self._descriptor is None:
            return
        with suppress(OSError):  # the lock itself goes with the descriptor
            if self._is_current(self._descriptor):  # else it is the lock of whoever came after us
                self._path.unlink()
        self._close_descriptor()

    def _attempt(self, folder: Path) -> int | None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            self._seize(descriptor, folder)
            if self._is_current(descriptor):
                self._refuse_another_machine(descriptor, folder)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, Owner.here().line().encode(), 0)
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
            owner, here = Owner.read(descriptor), Owner.here()
            who = owner.words() if owner.on_another_machine(here) else Owner(owner.process, _UNKNOWN, _UNKNOWN).words()
            raise RunLocked(
                f"{folder}: {who} is working on this run; wait until it ends, or stop it and run the same command again"
            ) from error

    @staticmethod
    def _refuse_another_machine(descriptor: int, folder: Path) -> None:
        owner = Owner.read(descriptor)
        if owner.on_another_machine(Owner.here()):
            raise RunLocked(
                f"{folder}: {owner.words()} works on this run, or was killed there; where it runs cannot be seen from"
                f" here. If it has ended, remove {folder / LOCK_NAME} and run the same command again"
            )

    def _is_current(self, descriptor: int) -> bool:
        # The holder before us may have removed the file between our opening and our locking it.
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _close_descriptor(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _plain(text: str) -> str:
    return _NOT_PLAIN.sub("?", text)[:100] or _UNKNOWN
