"""JPEG, PNG and DICOM files as 8-bit RGB; every refusal has a reason."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from skinaudit.images.dicom import declares_drawn, read_dicom
from skinaudit.images.refusal import ImageRefused, check_file_size, check_size
from skinaudit.images.regular import open_regular

__all__ = ["MAX_PIXELS", "ImageRefused", "Picture", "decode", "format_of", "read_head"]

#: Most pixels of one picture: far above any dermatoscope, and 150 MB once decoded.
MAX_PIXELS = 50_000_000

#: Bytes that are enough to tell every format below.
_HEAD = 132

_DECODED = {"JPEG", "PNG", "DICOM"}

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

#: Pillow modes that the rules of `decode` cover.
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}


@dataclass(frozen=True)
class Picture:
    """One decoded image.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, upright.
        file_format: "JPEG", "PNG" or "DICOM", told from the content and not from the file's name.
        drawn: the file declares itself drawn by a program: its name starts with ``drawn_``, or its DICOM
            description starts with the word "drawn". No photograph of a patient.
    """

    pixels: NDArray[np.uint8]
    file_format: str
    drawn: bool


def decode(path: Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read one image file as 8-bit RGB.

    The rules, the same for JPEG and PNG: 8-bit grey and palette pictures become RGB; transparent pixels are laid
    over white; fewer than 8 bits a sample are widened; the EXIF orientation is applied and then dropped; colour
    profiles and gamma are ignored (pixels are taken as stored, as MONAI does); of a JPEG with several pictures (MPO)
    the first counts. Refused: 16 bits a sample, CMYK, animations, symbolic links, anything but a regular file, other
    formats, truncated data (not seen when an early end was sealed with a valid end mark: the decoder then fills up).
    Those of DICOM stand at `read_dicom`.

    Args:
        path: the file.
        max_pixels: most pixels, held against the header before decoding.

    Returns:
        The picture, pixels (H, W, 3) uint8.

    Raises:
        ImageRefused: with a reason free of paths and patient data.
    """
    head = read_head(path)
    kind = format_of(head)
    if kind is None:
        raise ImageRefused("neither JPEG, PNG nor DICOM by its content")
    if kind not in _DECODED:
        raise ImageRefused(f"{kind}: format not supported yet; convert it to PNG, JPEG or uncompressed RGB DICOM")
    check_file_size(path.stat().st_size, max_pixels)
    drawn = path.name.lower().startswith("drawn_")
    if kind == "DICOM":
        pixels = read_dicom(path, max_pixels=max_pixels)
        return Picture(pixels, kind, drawn or declares_drawn(path))
    if kind == "PNG" and head[24:25] == b"\x10":  # bit depth of IHDR; Pillow would silently drop the lower byte
        raise ImageRefused("PNG: 16 bits a sample are not supported; convert it to 8 bits")
    with open_regular(path) as stream:
        if kind == "PNG" and not _reaches_end_mark(stream):
            raise ImageRefused("PNG: the data is truncated", "unreadable")
        return Picture(_read_with_pillow(stream, kind, max_pixels), kind, drawn)


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


def _reaches_end_mark(stream: BinaryIO) -> bool:
    """Do the chunks of a PNG lead to IEND? Pillow is content once it has all rows, before their checksum."""
    stream.seek(8)
    while len(start := stream.read(8)) == 8:
        if start[4:] == b"IEND":
            return True
        stream.seek(int.from_bytes(start[:4], "big") + 4, 1)  # body and CRC
    return False


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """Truncated data is an error, whatever another library set; warnings about size are ours to give."""
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _read_with_pillow(stream: BinaryIO, kind: str, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG stream; whatever the decoder raises becomes a refusal."""
    with _strict_pillow():
        try:
            with Image.open(stream, formats=[kind]) as image:
                check_size(image.width, image.height, max_pixels)
                _check_mode(image, kind)
                image.load()
                return np.array(_as_rgb(ImageOps.exif_transpose(image)), dtype=np.uint8)
        except ImageRefused:
            raise
        except Image.DecompressionBombError as error:
            raise ImageRefused(f"{kind}: more than the {max_pixels} pixels that are allowed") from error
        except MemoryError as error:
            raise ImageRefused(f"{kind}: not enough memory to decode it", "unreadable") from error
        except UnidentifiedImageError as error:
            raise ImageRefused(f"{kind}: the header is damaged or of an unsupported variant", "unreadable") from error
        except Exception as error:  # a hostile file reaches any line of a decoder; the run must go on
            raise ImageRefused(f"{kind}: the data is truncated or damaged", "unreadable") from error


def _check_mode(image: ImageFile.ImageFile, kind: str) -> None:
    """Apply the rules about colour and frames that the header can answer."""
    if image.mode == "CMYK":
        raise ImageRefused(f"{kind}: CMYK colour is not supported; convert it to RGB")
    if image.mode not in _MODES:
        raise ImageRefused(f"{kind}: pixels of this kind are not supported; convert it to 8-bit RGB")
    if kind == "PNG" and getattr(image, "is_animated", False):
        raise ImageRefused("PNG: an animation, not one picture")


def _as_rgb(image: Image.Image) -> Image.Image:
    """Grey, palette and transparent pixels as RGB (transparency over white)."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    opaque = Image.new("RGBA", image.size, (255, 255, 255, 255))
    opaque.alpha_composite(image.convert("RGBA"))
    return opaque.convert("RGB")
