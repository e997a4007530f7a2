"""Image files as 8-bit RGB, whatever their format; every refusal has a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from skinaudit.images.dicom import declares_drawn, read_dicom
from skinaudit.images.pillow_formats import read_bmp, read_jpeg, read_webp
from skinaudit.images.png import read_png
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused, check_file_size
from skinaudit.images.regular import open_regular
from skinaudit.images.tiff import read_tiff

__all__ = ["FORMATS", "ImageRefused", "Picture", "decode", "format_of", "read_head"]

#: Bytes that are enough to tell every format below.
_HEAD = 132

#: What is decoded, by whom; DICOM goes its own way, because it may hold patient data.
_READERS: dict[str, Callable[[BinaryIO, int], NDArray[np.uint8]]] = {
    "JPEG": read_jpeg,
    "PNG": read_png,
    "TIFF": read_tiff,
    "BMP": read_bmp,
    "WebP": read_webp,
}

#: Formats with up to four samples of 16 bits a pixel.
_BYTES_PER_PIXEL = {"PNG": 8, "TIFF": 8}

#: The formats that `decode` reads.
FORMATS = (*_READERS, "DICOM")

#: (offset, bytes, format). DICOM comes first: its preamble may legally be the start of a TIFF (PS3.10, 7.1).
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", "DICOM"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (8, b"WEBP", "WebP"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (4, b"ftyp", "HEIF or AVIF"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
)


@dataclass(frozen=True)
class Picture:
    """One decoded image.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, upright.
        file_format: one of `FORMATS`, told from the content and not from the file's name.
        drawn: the file declares itself drawn by a program: its name starts with ``drawn_``, or its DICOM
            description starts with the word "drawn". No photograph of a patient.
    """

    pixels: NDArray[np.uint8]
    file_format: str
    drawn: bool


def decode(path: Path, reading: Reading = Reading()) -> Picture:
    """Read one image file as 8-bit RGB, by the rules of docs/pictures.md.

    Args:
        path: the file.
        reading: the cap on pixels, and the choices that DICOM needs.

    Returns:
        The picture, pixels (H, W, 3) uint8.

    Raises:
        ImageRefused: with a reason free of paths and patient data.
    """
    kind = format_of(read_head(path))
    if kind is None:
        raise ImageRefused(f"not an image by its content: none of {', '.join(FORMATS)}")
    if kind not in FORMATS:
        raise ImageRefused(f"{kind}: format not supported; convert it to PNG or JPEG")
    check_file_size(path.stat().st_size, reading.max_pixels, _BYTES_PER_PIXEL.get(kind, 4))
    drawn = path.name.lower().startswith("drawn_")
    if kind == "DICOM":
        return Picture(read_dicom(path, reading), kind, drawn or declares_drawn(path))
    with open_regular(path) as stream:
        return Picture(np.ascontiguousarray(_READERS[kind](stream, reading.max_pixels)), kind, drawn)


def read_head(path: Path) -> bytes:
    """The first bytes of a regular file, enough for `format_of`.

    Raises:
        ImageRefused: empty, not a regular file, or it cannot be opened.
    """
    with open_regular(path) as stream:
        try:
            head = stream.read(_HEAD)
        except OSError as error:
            raise ImageRefused(f"cannot be read: {error.strerror}", "unreadable") from error
    if not head:
        raise ImageRefused("the file is empty", "unreadable")
    return head


def format_of(head: bytes) -> str | None:
    """Tell an image format from a file's first 132 bytes; None when it is not one that is known.

    >>> format_of(b"GIF89a")
    'GIF'
    """
    return next((name for offset, magic, name in _MAGIC if head[offset : offset + len(magic)] == magic), None)
