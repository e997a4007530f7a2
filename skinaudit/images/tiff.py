"""TIFF files as 8-bit RGB, block by block: libtiff, inside Pillow, is handed one checked strip or tile at a time.

Pillow alone would drop the lower byte of 16-bit colour, leave missing strips black, and believe the sizes of tiles.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skinaudit.images import tiff_directory as tags
from skinaudit.images.colour import as_rgb, eight_bits, premultiplied_over_white
from skinaudit.images.pillow_formats import strict_pillow
from skinaudit.images.refusal import ImageRefused
from skinaudit.images.tiff_directory import read_page
from skinaudit.images.tiff_layout import Alpha, Compression, Layout, Photometric, layout_of

_SHORT, _LONG, _UNDEFINED = 3, 4, 7

#: What undoes each orientation (TIFF 6.0, section 8).
_UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}


def read_tiff(stream: BinaryIO, max_pixels: int) -> NDArray[np.uint8]:
    """Decode the one full-size picture of a TIFF or BigTIFF file.

    Args:
        stream: an open file.
        max_pixels: most pixels, held against the directory before decoding.

    Returns:
        (H, W, 3) uint8, upright.

    Raises:
        ImageRefused: several pictures, a variant that the rules leave out, too large, truncated or damaged.
    """
    with strict_pillow("TIFF"):
        size = os.fstat(stream.fileno()).st_size
        layout = layout_of(read_page(stream, size), size, max_pixels)
        return np.ascontiguousarray(_UPRIGHT[layout.orientation](_rgb(_samples(stream, layout), layout)))


def _samples(stream: BinaryIO, layout: Layout) -> NDArray[np.uint8]:
    """All samples (H, W, S) in 8 bits."""
    result = np.empty((layout.height, layout.width, layout.samples), dtype=np.uint8)
    for number, top, left, plane in _places(layout):
        # A strip at the end has the rows that are left; a tile is always whole.
        rows = layout.block_height if layout.tiled else min(layout.block_height, layout.height - top)
        stream.seek(layout.offsets[number])
        block = _block(stream.read(layout.lengths[number]), rows, layout)
        target = result[top : top + rows, left : left + layout.block_width, plane]
        target[...] = block[: target.shape[0], : target.shape[1]]
    return result


def _places(layout: Layout) -> Iterator[tuple[int, int, int, slice]]:
    """(number, top row, left column, samples) of each block, in the order of the file."""
    number = 0
    for plane in range(layout.planes):
        samples = slice(plane, plane + 1) if layout.planar else slice(None)
        for top in range(0, layout.height, layout.block_height):
            for left in range(0, layout.width, layout.block_width):
                yield number, top, left, samples
                number += 1


def _block(data: bytes, rows: int, layout: Layout) -> NDArray[np.uint8]:
    """One strip or tile as (rows, block_width, S) in 8 bits."""
    samples = 1 if layout.planar else layout.samples
    if layout.compression == Compression.JPEG:
        return _jpeg_block(data, rows, samples, layout)
    row_bytes = layout.block_width * samples * layout.bits // 8
    if layout.compression == Compression.NONE:
        if len(data) < rows * row_bytes:
            raise ImageRefused("TIFF: a strip or tile has fewer bytes than its pixels need", "unreadable")
        raw = np.frombuffer(data, dtype=np.uint8, count=rows * row_bytes)
    else:
        # To libtiff the bytes are a grey picture of their own: it inflates them, and never more than declared.
        raw = _through_libtiff(_one_block_file(data, row_bytes, rows, 1, layout.compression))
    stored = np.dtype("u1" if layout.bits == 8 else f"{layout.order}u2")
    block = raw.reshape(-1).view(stored).reshape(rows, layout.block_width, samples)
    native = block.astype(stored.newbyteorder("="), copy=False)
    if layout.differences:
        native = np.add.accumulate(native, axis=1, dtype=native.dtype)  # wraps around, as it must
    return native if native.dtype == np.uint8 else eight_bits(native)


def _jpeg_block(data: bytes, rows: int, samples: int, layout: Layout) -> NDArray[np.uint8]:
    """One strip or tile that is a JPEG stream, perhaps with its tables elsewhere."""
    if not data.rstrip(b"\0").endswith(b"\xff\xd9"):  # libtiff would fill up with grey
        raise ImageRefused("TIFF: the data is truncated", "unreadable")
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as stream:
        if stream.width != layout.block_width or stream.height < rows:  # as before: grey would fill the rest
            raise ImageRefused("TIFF: a strip or tile holds a JPEG of another size", "unreadable")
    photometric = layout.photometric if samples > 1 else Photometric.BLACK_IS_ZERO
    # Without YCbCrSubSampling libtiff takes what the JPEG itself says, which is right more often than the tag.
    file = _one_block_file(data, layout.block_width, rows, samples, layout.compression, photometric, layout.jpeg_tables)
    return _through_libtiff(file).reshape(rows, layout.block_width, samples)


def _through_libtiff(file: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(file), formats=["TIFF"]) as image:
        return np.asarray(image)


def _one_block_file(
    data: bytes,
    width: int,
    height: int,
    samples: int,
    compression: Compression,
    photometric: Photometric = Photometric.BLACK_IS_ZERO,
    jpeg_tables: bytes = b"",
) -> bytes:
    """A TIFF file with one strip of 8-bit samples and none but checked tags."""
    entries = [
        (tags.IMAGE_WIDTH, _LONG, (width,)),
        (tags.IMAGE_LENGTH, _LONG, (height,)),
        (tags.BITS_PER_SAMPLE, _SHORT, (8,) * samples),
        (tags.COMPRESSION, _SHORT, (int(compression),)),
        (tags.PHOTOMETRIC, _SHORT, (int(photometric),)),
        (tags.STRIP_OFFSETS, _LONG, (8,)),
        (tags.SAMPLES_PER_PIXEL, _SHORT, (samples,)),
        (tags.ROWS_PER_STRIP, _LONG, (height,)),
        (tags.STRIP_BYTE_COUNTS, _LONG, (len(data),)),
        *([(tags.JPEG_TABLES, _UNDEFINED, tuple(jpeg_tables))] if jpeg_tables else []),
    ]
    body = data + b"\0" * (len(data) % 2)
    start = 8 + len(body)
    table, behind = struct.pack("<H", len(entries)), b""
    for tag, kind, values in entries:
        packed = struct.pack(f"<{len(values)}{ {_SHORT: 'H', _LONG: 'I', _UNDEFINED: 'B'}[kind] }", *values)
        if len(packed) > 4:
            place = start + 2 + 12 * len(entries) + 4 + len(behind)
            behind += packed + b"\0" * (len(packed) % 2)
            packed = struct.pack("<I", place)
        table += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return struct.pack("<2sHI", b"II", 42, start) + body + table + bytes(4) + behind


def _rgb(samples: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    """Samples (H, W, S) as RGB (H, W, 3), transparency over white."""
    colour = samples[..., : layout.colours]
    if layout.photometric == Photometric.WHITE_IS_ZERO:
        colour = 255 - colour
    elif layout.photometric == Photometric.PALETTE:
        colour = _palette(layout.color_map)[colour[..., 0]]
    if layout.photometric == Photometric.CMYK:
        return np.array(as_rgb(Image.fromarray(np.ascontiguousarray(colour), "CMYK")))
    if layout.alpha == Alpha.PREMULTIPLIED:
        colour = premultiplied_over_white(colour, samples[..., layout.colours])
    colour = colour if colour.shape[2] == 3 else colour.repeat(3, axis=2)
    if layout.alpha != Alpha.STRAIGHT:
        return colour
    alpha = samples[..., layout.colours, None]
    return np.array(as_rgb(Image.fromarray(np.concatenate([colour, alpha], axis=2))))


def _palette(color_map: tuple[int, ...]) -> NDArray[np.uint8]:
    """(256, 3) uint8: the upper bytes, for writers widen 8-bit colours by 256 or by 257.

    A map without a value above 255 was not widened at all; libtiff takes it so too.
    """
    table = np.array(color_map, dtype=np.uint16).reshape(3, 256).T
    return (table if table.max() < 256 else table >> 8).astype(np.uint8)
