"""Files that somebody else put there: listed and read without following links, waiting on pipes or growing memory."""

from __future__ import annotations

import os
import stat
from itertools import islice
from pathlib import Path

from skinaudit.classifier.refusal import ModelRefused

MAX_ENTRIES = 10_000


def list_files(root: Path) -> list[str]:
    """List the files under a folder, relative to it, with "/" between names, sorted.

    Raises:
        ModelRefused: No such folder, an entry is a link (it could lead out of the folder) or neither file nor folder,
            a folder cannot be read, or there are more than 10 000 entries.
    """
    if root.is_file():
        raise ModelRefused("is a file, not a bundle folder. If it is an archive, unpack it and give the folder.")
    if not root.is_dir():
        raise ModelRefused("no such bundle folder. Give the folder that holds configs/ and models/.")
    found: list[str] = []
    waiting, entries = [""], 0
    while waiting:
        prefix = waiting.pop()
        for entry in _entries(root, prefix):
            entries += 1
            if entries > MAX_ENTRIES:
                raise ModelRefused(
                    f"more than {MAX_ENTRIES} files and folders; this is not a bundle. Give the bundle's own folder."
                )
            relative = prefix + entry.name
            if entry.is_symlink():
                raise ModelRefused(
                    f"{relative} is a symbolic link; a bundle must hold its files itself. Copy the file in."
                )
            if entry.is_dir(follow_symlinks=False):
                waiting.append(f"{relative}/")
            elif entry.is_file(follow_symlinks=False):
                found.append(relative)
            else:
                raise ModelRefused(f"{relative} is not a regular file. Remove it.")
    return sorted(found)


def _entries(root: Path, prefix: str) -> list[os.DirEntry[str]]:
    """Look into one folder; a folder of millions is not held in memory."""
    try:
        with os.scandir(root / prefix) as listing:
            return sorted(islice(listing, MAX_ENTRIES + 1), key=lambda entry: entry.name)
    except OSError as error:
        raise ModelRefused(f"{prefix[-200:] or 'the folder'} cannot be listed: {error.strerror}.") from error


def size_of_file(path: Path, limit: int) -> int:
    """Give the size of a regular file in bytes, without opening it.

    Raises:
        ModelRefused: It is missing, something else than a file (a pipe would never end), or larger than ``limit``.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ModelRefused(f"{path.name}: cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(status.st_mode):
        raise ModelRefused(f"{path.name}: not a regular file. Give a file.")
    if status.st_size > limit:
        raise ModelRefused(f"{path.name}: {status.st_size} bytes; such a file may have at most {limit}.")
    return status.st_size


def read_file(path: Path, limit: int) -> bytes:
    """Read a whole file of at most ``limit`` bytes.

    Raises:
        ModelRefused: As ``size_of_file``; or it cannot be read.
    """
    size_of_file(path, limit)
    try:
        # Not blocking: between the look and the opening, a pipe could take the file's place. Windows has no such flag.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(limit + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError as error:
        raise ModelRefused(f"{path.name}: cannot be read: {error.strerror}.") from error
    if len(content) > limit:
        raise ModelRefused(f"{path.name}: grew beyond {limit} bytes while it was read.")
    return content
