"""JPEG 2000 inside DICOM, high-throughput coding included: bounded by its header before Pillow's OpenJPEG sees it."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from skinaudit.images.dicom_jpeg import check_stream
from skinaudit.images.dicom_layout import Layout
from skinaudit.images.pillow_formats import strict_pillow
from skinaudit.images.refusal import ImageRefused

#: Marks of a codestream (ITU-T T.800, table A.2).
_START, _SIZE, _CODING, _COMPONENT_CODING, _TILE_PART = 0xFF4F, 0xFF51, 0xFF52, 0xFF53, 0xFF90

_MOST_MARKS = 10_000
_MOST_BOXES = 1_000

#: What OpenJPEG takes memory for, however few bytes the file has: some kilobytes a tile, some hundred bytes a precinct
#: and a code block.
_MOST_TILES = 8_192
_MOST_PRECINCTS = 131_072
_LEAST_CODE_BLOCK = 256

_SIZE_FIELDS = struct.Struct(">H8IH")


@dataclass(frozen=True)
class Codestream:
    """A codestream whose main header has been read.

    Attributes:
        data: from its start mark on.
        columns: width in pixels.
        rows: height in pixels.
        components: samples of a pixel.
        precision: bits a sample.
        colour_transform: components were decorrelated and become RGB by decoding (ICT or RCT).
    """

    data: bytes
    columns: int
    rows: int
    components: int
    precision: int
    colour_transform: bool


def jpeg2000_samples(frame: bytes, layout: Layout) -> tuple[NDArray[np.uint8 | np.uint16], bool]:
    """Decode a codestream, or the one inside a JP2 container.

    Returns:
        (rows, columns, samples), uint8 or uint16 when more than 8 bits are stored; and whether colours are still YCbCr.

    Raises:
        ImageRefused: not what the layout says, a header that would take too much memory, truncated or damaged.
    """
    stream = read_codestream(frame)
    check_stream(layout, stream.columns, stream.rows, stream.components, stream.precision)
    with strict_pillow("DICOM"), Jpeg2KImageFile(io.BytesIO(stream.data)) as image:
        flat: NDArray[np.uint8 | np.uint16] = np.asarray(image)
    pixels = flat.reshape(layout.rows, layout.columns, layout.samples)
    widened = 8 * pixels.itemsize - layout.stored  # Pillow shifts samples up to 8 or 16 bits
    return (np.right_shift(pixels, widened, dtype=pixels.dtype) if widened else pixels), _is_ybr(stream, layout)


def read_codestream(frame: bytes) -> Codestream:
    """Read the main header (ITU-T T.800, annex A.5 and A.6).

    Raises:
        ImageRefused: damaged, samples that are signed or not at every pixel, or more parts than a picture needs.
    """
    data = _unwrapped(frame)
    marks = dict(_main_header(data))
    if _SIZE not in marks or _CODING not in marks:
        raise _damaged()
    columns, rows, depths = _size(marks[_SIZE])
    colour_transform = _check_coding(marks[_CODING], columns, rows, len(depths))
    return Codestream(data, columns, rows, len(depths), depths[0], colour_transform)


def _is_ybr(stream: Codestream, layout: Layout) -> bool:
    """Decoding undoes the codestream's own colour transform and gives RGB, whatever PhotometricInterpretation says.

    Without such a transform YBR_FULL is taken at its word. YBR_ICT and YBR_RCT only name the transform that should be
    there, so the components are RGB then, too.
    """
    return not stream.colour_transform and layout.interpretation == "YBR_FULL"


def _unwrapped(frame: bytes) -> bytes:
    """The codestream. DICOM wants it bare, but some programs leave it in its container (T.800, annex I)."""
    if frame[4:8] != b"jP  ":
        return frame
    place = 0
    for _ in range(_MOST_BOXES):
        length, start = int.from_bytes(frame[place : place + 4], "big"), 8
        kind = frame[place + 4 : place + 8]
        if length == 1:
            length, start = int.from_bytes(frame[place + 8 : place + 16], "big"), 16
        end = place + length if length else len(frame)
        if end < place + start or end > len(frame):
            break
        if kind == b"jp2c":
            return frame[place + start : end]
        place = end
    raise _damaged()


def _main_header(data: bytes) -> list[tuple[int, bytes]]:
    """(mark, body) of each segment up to the first tile."""
    if int.from_bytes(data[:2], "big") != _START:
        raise _damaged()
    segments: list[tuple[int, bytes]] = []
    place = 2
    while len(segments) < _MOST_MARKS:
        mark = int.from_bytes(data[place : place + 2], "big")
        if mark == _TILE_PART:
            kinds = [kind for kind, _ in segments]
            if kinds[:1] != [_SIZE] or any(kinds.count(kind) > 1 for kind in (_SIZE, _CODING)):
                break
            return segments
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        body = data[place + 4 : place + 2 + length]
        if mark < 0xFF30 or length < 2 or len(body) != length - 2:
            break
        if mark == _COMPONENT_CODING:
            raise ImageRefused("DICOM: JPEG 2000 with components that are coded differently is not supported")
        segments.append((mark, body))
        place += 2 + length
    raise _damaged()


def _size(body: bytes) -> tuple[int, int, list[int]]:
    """(columns, rows, depth of each component) of the SIZ segment."""
    if len(body) < _SIZE_FIELDS.size:
        raise _damaged()
    _, width, height, left, top, tile_width, tile_height, tile_left, tile_top, count = _SIZE_FIELDS.unpack_from(body)
    parts = body[_SIZE_FIELDS.size :]
    if not count or len(parts) != 3 * count or not (tile_width and tile_height):
        raise _damaged()
    if left or top or tile_left or tile_top:
        raise ImageRefused("DICOM: JPEG 2000 with an offset in its reference grid is not supported")
    if -(-width // tile_width) * -(-height // tile_height) > _MOST_TILES:
        raise ImageRefused(f"DICOM: JPEG 2000 with more than {_MOST_TILES} tiles")
    depths = list(parts[::3])
    if len(set(depths)) > 1 or depths[0] & 0x80:
        raise ImageRefused("DICOM: JPEG 2000 with signed samples or components of different depth is not supported")
    if set(parts[1::3]) | set(parts[2::3]) != {1}:
        raise ImageRefused("DICOM: JPEG 2000 with components that are sampled coarser is not supported")
    return width, height, [depth + 1 for depth in depths]


def _check_coding(body: bytes, columns: int, rows: int, components: int) -> bool:
    """Bound what the COD segment asks for; is there a colour transform?"""
    if len(body) < 10:
        raise _damaged()
    transform, levels, width_exponent, height_exponent = body[4:8]
    if levels > 32 or (body[0] & 1 and len(body) < 11 + levels):
        raise _damaged()
    if 1 << (width_exponent & 15) + 2 + (height_exponent & 15) + 2 < _LEAST_CODE_BLOCK:
        raise ImageRefused(f"DICOM: JPEG 2000 with code blocks of fewer than {_LEAST_CODE_BLOCK} samples")
    if body[0] & 1:
        precincts = 0
        for level, exponents in enumerate(body[10 : 11 + levels]):
            scale = 1 << levels - level
            across = -(-columns // (scale << (exponents & 15)))
            precincts += components * across * -(-rows // (scale << (exponents >> 4)))
        if precincts > _MOST_PRECINCTS:
            raise ImageRefused(f"DICOM: JPEG 2000 with more than {_MOST_PRECINCTS} precincts")
    return components == 3 and transform == 1


def _damaged() -> ImageRefused:
    return ImageRefused("DICOM: the header of the JPEG 2000 codestream is damaged", "unreadable")
