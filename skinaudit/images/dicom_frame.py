"""The bytes of the one frame that is meant, found without reading the others."""

from __future__ import annotations

import struct
from itertools import pairwise

from skinaudit.images.dicom_elements import ITEM, SEQUENCE_END, Element, ElementReader
from skinaudit.images.dicom_layout import Layout
from skinaudit.images.dicom_source import truncated
from skinaudit.images.refusal import ImageRefused


def native_frame(reader: ElementReader, pixels: Element, layout: Layout) -> bytes:
    """Uncompressed bytes of one frame, as long as the layout says (PS3.5, 8.1 and 8.2).

    Raises:
        ImageRefused: the length of the pixels is not what the header declares, or they are truncated.
    """
    if pixels.length is None:
        raise ImageRefused("DICOM: PixelData of undefined length is not supported with uncompressed pixels")
    size = layout.frame_bytes
    expected = size * layout.frames
    if pixels.length != expected + expected % 2:  # a pad byte makes it even
        raise ImageRefused(
            "DICOM: the length of PixelData does not match Rows, Columns, SamplesPerPixel, BitsAllocated and "
            "NumberOfFrames",
            "unreadable",
        )
    start = size * layout.frame
    if not (reader.encoding.big_endian and pixels.kind == b"OW" and layout.allocated == 8):
        return reader.part(pixels, start, size)
    # Samples of 8 bits in big-endian words of 16: each pair of bytes is swapped (PS3.5, 8.1.1).
    shift = start % 2
    words = bytearray(reader.part(pixels, start - shift, shift + size + (shift + size) % 2))
    words[::2], words[1::2] = words[1::2], words[::2]
    return bytes(words[shift : shift + size])


def encapsulated_frame(reader: ElementReader, pixels: Element, layout: Layout) -> bytes:
    """The compressed stream of one frame, its fragments joined (PS3.5, A.4).

    Where frames begin is told by the Basic Offset Table. Without one, each frame must be one fragment.

    Raises:
        ImageRefused: no fragments, truncated, or no telling which fragments belong to the frame.
    """
    if pixels.length is not None:
        raise ImageRefused("DICOM: PixelData must be in fragments with this transfer syntax", "unreadable")
    offsets = _offsets(reader, layout.frames)
    position, count = 0, 0
    wanted: list[bytes] = []
    while (fragment := _next_fragment(reader)) is not None:
        if _belongs(offsets, layout, position, count):
            if not wanted and offsets and position != offsets[layout.frame]:
                raise _wrong_offsets()
            wanted.append(reader.part(fragment, 0, fragment.length or 0))
        else:
            reader.skip(fragment)
        position += 8 + (fragment.length or 0)
        count += 1
    if not offsets and layout.frames not in {1, count}:
        raise ImageRefused("DICOM: without a Basic Offset Table each frame must be one fragment")
    if not wanted:
        raise _wrong_offsets() if offsets else ImageRefused("DICOM: the frame has no fragments", "unreadable")
    return b"".join(wanted)


def _offsets(reader: ElementReader, frames: int) -> tuple[int, ...]:
    """The Basic Offset Table: where each frame starts, counted from the first fragment; empty when there is none."""
    table = _next_fragment(reader)
    if table is None or table.length not in {0, 4 * frames}:
        raise _wrong_offsets()
    offsets = struct.unpack(f"<{table.length // 4}I", reader.value(table, 4 * frames))
    if any(later <= earlier for earlier, later in pairwise(offsets)):
        raise _wrong_offsets()
    return offsets


def _next_fragment(reader: ElementReader) -> Element | None:
    """The next item of the pixels; None at their end mark, without which they are truncated."""
    item = reader.next()
    if item is None:
        raise truncated()
    if item.tag == SEQUENCE_END:
        return None
    if item.tag != ITEM or item.length is None:
        raise ImageRefused("DICOM: the fragments of PixelData are damaged", "unreadable")
    return item


def _belongs(offsets: tuple[int, ...], layout: Layout, position: int, count: int) -> bool:
    """Is the fragment with this position and number one of the frame's?"""
    if layout.frames == 1:
        return True
    if not offsets:
        return count == layout.frame
    later = offsets[layout.frame + 1 :]
    return offsets[layout.frame] <= position and (not later or position < later[0])


def _wrong_offsets() -> ImageRefused:
    return ImageRefused("DICOM: the Basic Offset Table does not fit the fragments", "unreadable")
