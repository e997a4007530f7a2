"""From the samples of a DICOM frame to 8-bit RGB (PS3.3, C.7.6.3.1.2 and C.7.9)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import convert_color_space

from skinaudit.images.dicom_header import Attributes
from skinaudit.images.dicom_layout import Layout
from skinaudit.images.refusal import ImageRefused

Pixels = NDArray[np.uint8]
Samples = NDArray[np.uint8 | np.uint16]

#: Rows that are converted at once: the conversion works in floating point, at eight times the size.
_ROWS = 64


def native_samples(frame: bytes, layout: Layout, big_endian: bool) -> Samples:
    """Uncompressed bytes as samples.

    Args:
        frame: as many bytes as the layout says.
        layout: of the picture.
        big_endian: byte order of samples of 16 bits.

    Returns:
        (rows, columns, samples), uint8 or uint16. The colours of YBR_FULL_422 are repeated for each pixel of a pair.
    """
    if layout.allocated == 16:
        wide = np.frombuffer(frame, dtype=">u2" if big_endian else "<u2")
        return wide.astype(np.uint16).reshape(layout.rows, layout.columns, layout.samples)
    flat = np.frombuffer(frame, dtype=np.uint8)
    if layout.interpretation == "YBR_FULL_422":
        pairs = flat.reshape(layout.rows, layout.columns // 2, 4)  # Y, Y, Cb, Cr
        full = np.empty((layout.rows, layout.columns, 3), dtype=np.uint8)
        full[:, ::2, 0], full[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
        full[:, ::2, 1:] = full[:, 1::2, 1:] = pairs[..., 2:]
        return full
    if layout.planes:
        return flat.reshape(layout.samples, layout.rows, layout.columns).transpose(1, 2, 0)
    return flat.reshape(layout.rows, layout.columns, layout.samples)


def rgb_of_colours(samples: Pixels, ybr: bool) -> Pixels:
    """Colours as RGB.

    Args:
        samples: (H, W, 3) uint8.
        ybr: they are YBR_FULL, with luminance and colour differences over the whole range.

    Returns:
        (H, W, 3) uint8.
    """
    if not ybr:
        return np.ascontiguousarray(samples)
    result = np.empty(samples.shape, dtype=np.uint8)
    for start in range(0, len(samples), _ROWS):
        part = samples[start : start + _ROWS]
        result[start : start + _ROWS] = convert_color_space(part, "YBR_FULL", "RGB")
    return result


def rgb_of_grey(samples: Samples, layout: Layout) -> Pixels:
    """Grey as RGB: 0 becomes 0 and the largest stored value 255, linearly, rounded to the nearest.

    MONOCHROME1 is inverted. Windows and look-up tables of the file are not applied. Bits above the stored ones do not
    count; old files keep overlays there.

    Args:
        samples: (H, W, 1).
        layout: of the picture.

    Returns:
        (H, W, 3) uint8.
    """
    most = (1 << layout.stored) - 1
    shades = (np.arange(most + 1, dtype=np.uint32) * 510 + most) // (2 * most)  # most is odd: there are no ties
    table = shades.astype(np.uint8)
    if layout.interpretation == "MONOCHROME1":
        table = table[::-1]
    return np.repeat(table[samples & most], 3, axis=2)


def rgb_of_palette(samples: Samples, layout: Layout, tables: tuple[Pixels, Pixels, Pixels]) -> Pixels:
    """Palette colours as RGB.

    Args:
        samples: (H, W, 1), entries of the palette.
        layout: of the picture.
        tables: red, green and blue of each value that a sample can have, from `palette_tables`.

    Returns:
        (H, W, 3) uint8.
    """
    entries = samples[..., 0] & ((1 << layout.stored) - 1)
    result = np.empty((layout.rows, layout.columns, 3), dtype=np.uint8)
    for colour, table in enumerate(tables):
        np.take(table, entries, out=result[..., colour])
    return result


def palette_tables(attributes: Attributes, layout: Layout, big_endian: bool) -> tuple[Pixels, Pixels, Pixels]:
    """Red, green and blue of each value that a sample can have.

    A value below the first one that the palette maps gets the first entry, a value above the last gets the last. Of
    entries of 16 bits the upper byte counts: programs write both v x 256 and v x 257 for an 8-bit v. When no entry of a
    palette is above 255, the entries are taken as 8-bit ones.

    Raises:
        ImageRefused: no palette, a segmented one, or one whose parts do not fit each other.
    """
    if attributes.segmented:
        raise ImageRefused("DICOM: a segmented palette is not supported")
    descriptors = {attributes.palettes.get(f"descriptor {colour}", b"") for colour in range(3)}
    if len(descriptors) != 1 or len(descriptor := descriptors.pop()) != 6:
        raise ImageRefused("DICOM: the palette descriptors are missing, or differ between the colours", "unreadable")
    order: Literal["big", "little"] = "big" if big_endian else "little"
    count, first, bits = (int.from_bytes(descriptor[start : start + 2], order) for start in (0, 2, 4))
    count = count or 65536  # PS3.3, C.7.6.3.1.5
    if bits not in {8, 16}:
        raise ImageRefused("DICOM: the entries of the palette must have 8 or 16 bits", "unreadable")
    entries = [_entries(attributes.palettes.get(f"palette {colour}", b""), count, bits, order) for colour in range(3)]
    if bits == 16:
        narrow = max(int(part.max()) for part in entries) < 256
        entries = [part if narrow else np.right_shift(part, 8, dtype=np.uint16) for part in entries]
    mapped = np.clip(np.arange(1 << layout.stored) - first, 0, count - 1)
    red, green, blue = (part.astype(np.uint8)[mapped] for part in entries)
    return red, green, blue


def _entries(data: bytes, count: int, bits: int, order: Literal["big", "little"]) -> NDArray[np.uint16]:
    """(count,) entries of one colour. Those of 8 bits lie in a byte each, or in words of 16 bits."""
    words = np.frombuffer(data[: len(data) // 2 * 2], dtype=">u2" if order == "big" else "<u2").astype(np.uint16)
    if len(data) == 2 * count:
        return words if bits == 16 else np.bitwise_and(words, 255, dtype=np.uint16)
    if bits == 8 and len(data) == count + count % 2:
        return np.frombuffer(words.astype("<u2").tobytes(), dtype=np.uint8)[:count].astype(np.uint16)
    raise ImageRefused("DICOM: the length of the palette does not match its descriptor", "unreadable")
