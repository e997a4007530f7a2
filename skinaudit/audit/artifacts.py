"""Files of a run directory: written so that a name always stands for whole bytes, and never outside the run."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path, PurePosixPath

from skinaudit.audit.failures import StoreError, one_line_for

#: Folder of a run directory that holds the artifacts, one folder an image.
ARTIFACTS = "artifacts"

_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,126}")
# What some network shares answer when asked to sync a folder; there the rename itself is all that can be had.
_FOLDER_SYNC_UNKNOWN = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.ENOSYS})


def artifact_path(image_id: str, name: str) -> str:
    """Path of an artifact inside its run, with forward slashes.

    Raises:
        ValueError: if either part is not a plain file name of letters, digits, dot, dash, plus and underscore.

    >>> artifact_path("3f9a", "map-cam.npy")
    'artifacts/3f9a/map-cam.npy'
    """
    for part in (image_id, name):
        if not _COMPONENT.fullmatch(part):
            raise ValueError(f"{part!r} cannot name an artifact: use letters, digits, '.', '-', '+' and '_' only")
    return f"{ARTIFACTS}/{image_id}/{name}"


def locate(folder: Path, relative: str) -> Path:
    """Where an artifact lies on disk, whether or not it is there.

    Raises:
        StoreError: if the path is not one that ``artifact_path`` gives, or a symbolic link leads elsewhere.
    """
    parts = PurePosixPath(relative).parts
    plain = relative.split("/") == list(parts) and len(parts) == 3 and parts[0] == ARTIFACTS
    if plain and all(_COMPONENT.fullmatch(part) for part in parts[1:]):
        path = folder.joinpath(*parts)
        if path.resolve() == folder.resolve().joinpath(*parts):
            return path
    raise StoreError(f"{folder}: {relative!r} is no artifact path of this run; do not trust this run directory")


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_durably(path: Path, data: bytes) -> None:
    """Puts a whole file in place, or none: temporary file, fsync, rename, fsync of the folder.

    Raises:
        StoreError: if the disk is full or not writable; nothing is left behind then.
    """
    temporary = path.with_name(f".{path.name}.part")
    with one_line_for(path, "written"):
        try:
            temporary.unlink(missing_ok=True)
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Makes a folder and what leads to it, durably; one that exists is left as it is.

    Raises:
        StoreError: if it cannot be made.
    """
    with one_line_for(path, "made"):
        missing = [place for place in (path, *path.parents) if not place.is_dir()]
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            sync_folder(place.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder survive a power cut, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _FOLDER_SYNC_UNKNOWN:
            raise
    finally:
        os.close(descriptor)


def sweep(folder: Path, committed: Collection[str]) -> int:
    """Deletes every file below ``artifacts/`` that is not committed, temporary files of exports, and empty folders.

    Args:
        folder: the run directory.
        committed: paths inside the run that stay.

    Returns:
        How many files were deleted.

    Raises:
        StoreError: if something cannot be deleted.
    """
    if (folder / ARTIFACTS).is_symlink():
        raise StoreError(f"{folder / ARTIFACTS} is a symbolic link; a run keeps its own artifacts: remove the link")
    deleted = 0
    with one_line_for(folder, "tidied"):
        for temporary in folder.glob(".*.part"):
            temporary.unlink()
            deleted += 1
        # Deepest first, so that a folder is looked at after its files.
        for place in sorted((folder / ARTIFACTS).rglob("*"), reverse=True):
            if place.is_dir() and not place.is_symlink():
                if not any(place.iterdir()):
                    place.rmdir()
            elif place.relative_to(folder).as_posix() not in committed:
                place.unlink()
                deleted += 1
    return deleted
