"""JPEG, BMP and WebP by Pillow, which is told to be strict; every refusal has a reason."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from skinaudit.images.colour import as_rgb
from skinaudit.images.refusal import ImageRefused, check_size

#: Most scans of a JPEG. Progressive files have about ten; each one makes a decoder visit every pixel again.
_MAX_SCANS = 200
_SCAN, _END = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
#: TEM and a second SOI.
_WITHOUT_LENGTH = frozenset({0x01, 0xD8})
_CHUNK = 2**20

_UNCOMPRESSED_BMP = {0, 3}  # BI_RGB and BI_BITFIELDS

#: Flag of a VP8X chunk (RFC 9649, 2.7).
_WEBP_ANIMATION = 0x02


@contextmanager
def strict_pillow(kind: str) -> Iterator[None]:
    """Truncated data is an error, sizes are ours to judge, and whatever a decoder raises becomes a refusal.

    Args:
        kind: the file format, with which each reason starts.

    Raises:
        ImageRefused: instead of anything else that the block raises.
    """
    lenient, cap = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = False, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImageRefused:
        raise
    except MemoryError as error:
        raise ImageRefused(f"{kind}: not enough memory to decode it", "unreadable") from error
    except Exception as error:  # a hostile file reaches any line of a decoder; the run must go on
        raise ImageRefused(f"{kind}: the data is truncated or damaged", "unreadable") from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = lenient, cap


def open_checked(stream: BinaryIO, kind: str, max_pixels: int) -> ImageFile.ImageFile:
    """Let Pillow read the header and hold the size in it against the cap; no pixel is decoded yet.

    Call it inside `strict_pillow`.

    Raises:
        ImageRefused: too large, or a header that Pillow does not accept.
    """
    stream.seek(0)
    try:
        image = Image.open(stream, formats=[kind.upper()])
    except (UnidentifiedImageError, OSError) as error:
        raise ImageRefused(f"{kind}: the header is damaged or of an unsupported variant", "unreadable") from error
    check_size(image.width, image.height, max_pixels)
    return image


def upright_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of a picture in any mode that `as_rgb` takes, turned as its EXIF orientation says.

    An orientation that cannot be read is none: a broken note does not make sound pixels unusable.
    """
    image.load()
    try:
        turned = ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # Pillow's readers of EXIF raise whatever they stumble over
        turned = image
    return np.array(as_rgb(turned), dtype=np.uint8)


def read_jpeg(stream: BinaryIO, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a JPEG stream; of a file with several pictures (MPO) the first counts.

    Four channels are CMYK or YCCK and always taken as inverted, the way Adobe's programs write them; Pillow does so.

    Raises:
        ImageRefused: too large, too many scans, truncated or damaged.
    """
    with strict_pillow("JPEG"):
        _check_scans(stream)
        with open_checked(stream, "JPEG", max_pixels) as image:
            image.load()
            return upright_pixels(image)


def read_bmp(stream: BinaryIO, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a BMP stream of 1, 4, 8, 16, 24 or 32 bits a pixel.

    Raises:
        ImageRefused: too large, compressed, truncated or damaged.
    """
    with strict_pillow("BMP"), open_checked(stream, "BMP", max_pixels) as image:
        if image.info.get("compression") not in _UNCOMPRESSED_BMP:
            raise ImageRefused("BMP: compressed pixels are not supported; save it as PNG")
        image.load()
        return upright_pixels(image)


def read_webp(stream: BinaryIO, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a WebP stream that holds one picture, lossy or lossless (RFC 9649).

    Raises:
        ImageRefused: too large, an animation, truncated or damaged.
    """
    with strict_pillow("WebP"):
        head = stream.read(30)
        width, height = _webp_size(head)
        check_size(width, height, max_pixels)  # here, because Pillow's decoder allocates the canvas on opening
        if head[12:16] == b"VP8X" and head[20] & _WEBP_ANIMATION:
            raise ImageRefused("WebP: an animation, not one picture")
        if 8 + int.from_bytes(head[4:8], "little") > os.fstat(stream.fileno()).st_size:
            raise ImageRefused("WebP: the data is truncated", "unreadable")
        with open_checked(stream, "WebP", max_pixels) as image:
            image.load()
            return upright_pixels(image)


def _check_scans(stream: BinaryIO) -> None:
    """Count the scans up to the end of the picture; what stands in a segment, or behind the end, is no scan.

    Markers are looked for as decoders do: anything between two segments is skipped, coded data as well, where FF is
    always followed by 00 or a restart mark.
    """
    scans, place = 0, 2
    while (found := _next_marker(stream, place)) is not None:
        marker, place = found
        if marker == _END:
            return
        if marker in _WITHOUT_LENGTH:
            continue
        stream.seek(place)
        place += max(2, int.from_bytes(stream.read(2), "big"))
        scans += marker == _SCAN
        if scans > _MAX_SCANS:
            raise ImageRefused(f"JPEG: more than {_MAX_SCANS} scans")


def _next_marker(stream: BinaryIO, place: int) -> tuple[int, int] | None:
    """Code of the next marker from a place on, and the place behind it; None where there is none."""
    stream.seek(place)
    before = b""
    while piece := stream.read(_CHUNK):
        text = before + piece
        if found := _MARKER.search(text):
            return text[found.end() - 1], place - len(before) + found.end()
        place += len(piece)
        before = text[-1:] if text[-1:] == b"\xff" else b""
    return None


def _webp_size(head: bytes) -> tuple[int, int]:
    """(width, height) that the first chunk declares."""
    kind, body = head[12:16], head[20:]
    if len(body) == 10 and kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if len(body) == 10 and kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if len(body) == 10 and kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    raise ImageRefused("WebP: the header is damaged or of an unsupported variant", "unreadable")
