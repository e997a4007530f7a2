"""Who an image is without saying it: keyed ids, and seeds that follow the pixels."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skinaudit.images.refusal import ImageRefused
from skinaudit.images.regular import open_regular

#: Bytes of a new key, and the fewest that are taken: the block of SHA-256's security level.
_KEY_BYTES = 32
_MOST_KEY_BYTES = 4096

_ID_LENGTH = 16  # hex characters: 64 bits, no collision to expect below a billion images

#: Bytes of an unreadable file that count for its id; its size always does.
_FILE_CAP = 64 * 2**20
_CHUNK = 2**20


class IdentityError(Exception):
    """The key for image ids cannot be used; the message says why and what to do."""


def default_key_path() -> Path:
    """Where the key of this site lies: ``$XDG_CONFIG_HOME/skinaudit/id.key``, else below ``~/.config``."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    # The XDG base directory specification: a path that is not absolute is to be ignored.
    base = Path(configured) if Path(configured).is_absolute() else Path.home() / ".config"
    return base / "skinaudit" / "id.key"


def load_key(path: Path | None) -> bytes:
    """Read the site's key for image ids, creating it (32 random bytes, mode 0600) when there is none.

    A plain hash would let anybody who holds a public archive look an image up; a keyed one does not. Runs of one site
    share the key, so their ids agree.

    Args:
        path: the key file; None takes `default_key_path`.

    Returns:
        The key, 32 to 4096 bytes.

    Raises:
        IdentityError: a link, readable by others, too short or long, or it cannot be read or created.
    """
    path = default_key_path() if path is None else path
    try:
        if not os.path.lexists(path):
            _create_key(path)
        return _read_key(path)
    except (ImageRefused, OSError) as error:
        what = error.reason if isinstance(error, ImageRefused) else error.strerror
        raise IdentityError(f"{path}: the key for image ids cannot be used: {what}; give another key file") from error


def image_id(pixels: NDArray[np.uint8], key: bytes) -> str:
    """Keyed id of a decoded image: it survives renaming, and nobody without the key can look it up.

    Args:
        pixels: (H, W, 3) uint8.
        key: from `load_key`.

    Returns:
        First 16 hex characters of HMAC-SHA-256 over shape and bytes.

    Raises:
        ValueError: other shape or type.
    """
    digest = hmac.new(key, b"skinaudit image\0", hashlib.sha256)
    digest.update(_shape(pixels))
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()[:_ID_LENGTH]


def file_id(data: bytes | Path, key: bytes) -> str:
    """Keyed id of a file that gave no pixels; never equal to an `image_id` of the same bytes.

    Args:
        data: the file, read in pieces up to 64 MiB (its size counts as well), or its bytes. What cannot be opened as a
            regular file (links, folders, no permission) is known by its absolute path, which the key conceals.
        key: from `load_key`.

    Returns:
        First 16 hex characters of HMAC-SHA-256.
    """
    if isinstance(data, bytes):
        digest = hmac.new(key, b"skinaudit file\0%d\0" % len(data), hashlib.sha256)
        digest.update(data[:_FILE_CAP])
        return digest.hexdigest()[:_ID_LENGTH]
    try:
        return _hash_file(data, key)
    except (ImageRefused, OSError):
        place = os.fsencode(data.absolute())
        return hmac.new(key, b"skinaudit place\0" + place, hashlib.sha256).hexdigest()[:_ID_LENGTH]


def seed_for(pixels: NDArray[np.uint8], *parts: str | int) -> int:
    """Seed of a random draw that follows the image and not its file name.

    It is not keyed, so that every site draws the same; keep it out of outputs, where it would work like a plain hash.

    Args:
        pixels: (H, W, 3) uint8.
        parts: what else tells draws apart (run seed, attack, number of the draw); ``1`` and ``"1"`` differ.

    Returns:
        0 <= seed < 2**63, from SHA-256.

    Raises:
        ValueError: other shape or type.
    """
    digest = hashlib.sha256(b"skinaudit seed\0")
    digest.update(_shape(pixels))
    digest.update(np.ascontiguousarray(pixels).data)
    for part in parts:
        text = str(part).encode()
        digest.update(b"%c%d:" % (b"s" if isinstance(part, str) else b"i", len(text)))
        digest.update(text)
    return int.from_bytes(digest.digest()[:8], "big") >> 1


def digest_of_images(ids: Iterable[str]) -> str:
    """SHA-256 (64 hex characters) of a collection of image ids: their order does not count, repetitions do."""
    return hashlib.sha256("".join(f"{len(text)}:{text}\n" for text in sorted(ids)).encode()).hexdigest()


def _shape(pixels: NDArray[np.uint8]) -> bytes:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"Expected pixels as (H, W, 3) uint8, but got {pixels.shape} {pixels.dtype}")
    return b"%dx%d\0" % pixels.shape[:2]


def _hash_file(path: Path, key: bytes) -> str:
    """Id of a regular file from its size and first bytes, without following links or waiting on pipes."""
    with open_regular(path) as stream:
        digest = hmac.new(key, b"skinaudit file\0%d\0" % os.fstat(stream.fileno()).st_size, hashlib.sha256)
        left = _FILE_CAP
        while left > 0 and (piece := stream.read(min(_CHUNK, left))):
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()[:_ID_LENGTH]


def _create_key(path: Path) -> None:
    """Write a new key beside its place and link it there: another process sees all of it or nothing, the first wins."""
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(_KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # another process was first; its key counts
    finally:
        draft.unlink(missing_ok=True)


def _read_key(path: Path) -> bytes:
    """Read a key that only its owner can read."""
    with open_regular(path) as stream:
        mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
        key = stream.read(_MOST_KEY_BYTES + 1)
    if os.name == "posix" and mode & 0o077:
        raise IdentityError(
            f"{path}: others can read the key for image ids (mode {mode:04o}); run `chmod 600` on it, or remove it to "
            "get a new one (ids then differ from earlier runs)"
        )
    if not _KEY_BYTES <= len(key) <= _MOST_KEY_BYTES:
        size = f"{len(key)} bytes" if len(key) <= _MOST_KEY_BYTES else f"more than {_MOST_KEY_BYTES} bytes"
        raise IdentityError(
            f"{path}: a key for image ids has {_KEY_BYTES} to {_MOST_KEY_BYTES} bytes, this file has {size}; remove it "
            "to get a new one (ids then differ from earlier runs), or give another key file"
        )
    return key
