"""Run lengths of DICOM (PS3.5, annex G), unpacked into exactly the bytes that the header declares.

pydicom's decoder unpacks a segment as far as it goes, 64 bytes for each one in the file, and compares lengths
afterwards.
"""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from skinaudit.images.dicom_layout import Layout
from skinaudit.images.refusal import ImageRefused

_HEADER = struct.Struct("<16I")


def rle_samples(frame: bytes, layout: Layout) -> NDArray[np.uint8 | np.uint16]:
    """Unpack one frame.

    Args:
        frame: its compressed bytes.
        layout: of the picture.

    Returns:
        (rows, columns, samples), uint8 or uint16 as allocated.

    Raises:
        ImageRefused: damaged, truncated, or not as many samples as the layout has.
    """
    bytes_each = layout.allocated // 8
    segments = _segments(frame, layout.samples * bytes_each)
    size = layout.rows * layout.columns
    planes = np.empty((layout.rows, layout.columns, layout.samples, bytes_each), dtype=np.uint8)
    for number, segment in enumerate(segments):
        plane = np.frombuffer(_unpack(segment, size), dtype=np.uint8).reshape(layout.rows, layout.columns)
        planes[..., number // bytes_each, number % bytes_each] = plane  # the upper byte of a sample comes first
    if bytes_each == 1:
        return planes[..., 0]
    return planes.view(">u2")[..., 0].astype(np.uint16)


def _segments(frame: bytes, expected: int) -> list[bytes]:
    """The parts of a frame: one for each byte of a sample, of each colour in turn."""
    if len(frame) < _HEADER.size:
        raise _damaged()
    count, *offsets = _HEADER.unpack_from(frame)
    if count != expected:
        raise ImageRefused("DICOM: the RLE segments do not match SamplesPerPixel and BitsAllocated", "unreadable")
    bounds = [*offsets[:count], len(frame)]
    if bounds[0] < _HEADER.size or any(end < start for start, end in pairwise(bounds)):
        raise _damaged()
    return [frame[start:end] for start, end in pairwise(bounds)]


def _unpack(segment: bytes, size: int) -> bytearray:
    """PackBits (PS3.5, G.3.2), up to the size; what follows is padding."""
    result = bytearray()
    place = 0
    while len(result) < size and place < len(segment):
        control = segment[place]
        if control < 128:  # that many bytes and one, as they are
            result += segment[place + 1 : place + 2 + control]
            place += 2 + control
        elif control > 128:  # one byte, repeated
            result += segment[place + 1 : place + 2] * (257 - control)
            place += 2
        else:  # says nothing
            place += 1
    if len(result) != size or place > len(segment):
        raise _damaged()
    return result


def _damaged() -> ImageRefused:
    return ImageRefused("DICOM: the RLE data are truncated or damaged", "unreadable")
