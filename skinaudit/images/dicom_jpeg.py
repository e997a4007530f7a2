"""JPEG inside DICOM: its header is held against that of DICOM, and its own marks tell what its components are."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

from skinaudit.images.dicom_layout import Layout
from skinaudit.images.pillow_formats import strict_pillow
from skinaudit.images.refusal import ImageRefused

#: Marks before the pixels. Profiles and EXIF data may take some hundreds.
_MOST_MARKS = 10_000

#: Marks that start a scan; each one makes a decoder visit every pixel again. There is one for each colour at most, and
#: previews inside EXIF data have theirs.
_MOST_SCANS = 200

_APP0, _APP14, _START_OF_SCAN, _END = 0xE0, 0xEE, 0xDA, 0xD9

#: Start-of-frame marks (ITU-T T.81, table B.1; T.87, C.1.1).
BASELINE, EXTENDED, LOSSLESS, JPEG_LS = 0xC0, 0xC1, 0xC3, 0xF7
_FRAME_MARKS = {*range(0xC0, 0xD0), JPEG_LS} - {0xC4, 0xC8, 0xCC}  # less tables and reserved ones

_RGB_NAMES = {(82, 71, 66), (114, 103, 98)}  # component numbers that spell RGB or rgb


@dataclass(frozen=True)
class JpegHeader:
    """What a JPEG stream says before its pixels.

    Attributes:
        mark: second byte of the start-of-frame mark: which process.
        precision: bits a sample.
        rows: height in pixels.
        columns: width in pixels.
        names: number of each component.
        sampling: (horizontal, vertical) factor of each component.
        jfif: there is a JFIF segment.
        adobe: transform of Adobe's segment; None when there is none.
    """

    mark: int
    precision: int
    rows: int
    columns: int
    names: tuple[int, ...]
    sampling: tuple[tuple[int, int], ...]
    jfif: bool
    adobe: int | None


def jpeg_header(frame: bytes, layout: Layout, marks: tuple[int, ...]) -> JpegHeader:
    """Read a stream's header and hold it against the layout.

    Args:
        frame: the stream.
        layout: of the DICOM picture.
        marks: start-of-frame marks that the transfer syntax allows.

    Raises:
        ImageRefused: damaged, another process, or another size, depth or number of components than the layout's.
    """
    header = _parse(frame)
    if header.mark not in marks:
        raise ImageRefused("DICOM: the JPEG stream is of another process than the transfer syntax names")
    check_stream(layout, header.columns, header.rows, len(header.names), header.precision)
    return header


def check_stream(layout: Layout, columns: int, rows: int, components: int, precision: int) -> None:
    """Hold what a compressed stream declares against the layout, before a decoder takes memory for it.

    Raises:
        ImageRefused: they differ.
    """
    for name, found, expected in (
        ("Columns", columns, layout.columns),
        ("Rows", rows, layout.rows),
        ("SamplesPerPixel", components, layout.samples),
        ("BitsStored", precision, layout.stored),
    ):
        if found != expected:
            raise ImageRefused(f"DICOM: {name} is not what the compressed pixels declare", "unreadable")


def jpeg_samples(frame: bytes, layout: Layout) -> NDArray[np.uint8]:
    """Decode a baseline or extended stream of 8 bits a sample.

    Returns:
        (rows, columns, samples) uint8: RGB or grey. What was YCbCr has been converted.

    Raises:
        ImageRefused: not what the layout says, truncated or damaged.
    """
    header = jpeg_header(frame, layout, (BASELINE, EXTENDED))
    if header.precision != 8:
        raise ImageRefused(
            "DICOM: JPEG with more than 8 bits a sample is not supported; convert it to an uncompressed one"
        )
    if frame.count(b"\xff\xda") > _MOST_SCANS:
        raise ImageRefused(f"DICOM: JPEG with more than {_MOST_SCANS} scans")
    with strict_pillow("DICOM"), JpegImageFile(io.BytesIO(frame)) as image:
        if image.size != (layout.columns, layout.rows):
            raise ImageRefused("DICOM: the JPEG stream has two headers", "unreadable")
        if layout.samples == 3 and not is_ybr(header, layout.interpretation) and _decoder_sees_ybr(header):
            image.draft("YCbCr", None)  # Pillow's word for "no conversion"
        pixels = np.asarray(image, dtype=np.uint8)
    return pixels.reshape(layout.rows, layout.columns, layout.samples)


def is_ybr(header: JpegHeader, interpretation: str) -> bool:
    """Are three components luminance and two colour differences, rather than red, green and blue?

    A stream's own marks count first, because whoever wrote it knew; many files say RGB and hold YCbCr. In turn: JFIF is
    always YCbCr; Adobe's segment says which; components that are called R, G and B are; a component that is sampled
    coarser than another is no red, green or blue. A stream without marks is what PhotometricInterpretation says.

    Args:
        header: of the stream.
        interpretation: PhotometricInterpretation.
    """
    if header.jfif:
        return True
    if header.adobe is not None:
        return header.adobe != 0
    if header.names in _RGB_NAMES:
        return False
    return len(set(header.sampling)) > 1 or interpretation != "RGB"


def _decoder_sees_ybr(header: JpegHeader) -> bool:
    """Would libjpeg convert? Its own guess (``default_decompress_parms``) takes what it does not know as YCbCr."""
    if header.jfif:
        return True
    if header.adobe is not None:
        return header.adobe != 0
    return header.names != (82, 71, 66)


def _parse(frame: bytes) -> JpegHeader:
    """Walk over the segments up to the start of the frame (ITU-T T.81, B.1.1 and B.2.2)."""
    if frame[:2] != b"\xff\xd8":
        raise _damaged()
    place, jfif, adobe = 2, False, None
    for _ in range(_MOST_MARKS):
        while frame[place : place + 2] == b"\xff\xff":  # fill bytes
            place += 1
        head = frame[place : place + 4]
        if len(head) < 4 or head[0] != 0xFF or head[1] in {_START_OF_SCAN, _END}:
            break
        mark, length = head[1], int.from_bytes(head[2:], "big")
        body = frame[place + 4 : place + 2 + length]
        if length < 2 or len(body) != length - 2:
            break
        if mark in _FRAME_MARKS:
            return _frame_header(mark, body, jfif, adobe)
        jfif |= mark == _APP0 and body[:5] == b"JFIF\0"
        if mark == _APP14 and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        place += 2 + length
    raise _damaged()


def _frame_header(mark: int, body: bytes, jfif: bool, adobe: int | None) -> JpegHeader:
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise _damaged()
    parts = [body[start : start + 3] for start in range(6, len(body), 3)]
    return JpegHeader(
        mark=mark,
        precision=body[0],
        rows=int.from_bytes(body[1:3], "big"),
        columns=int.from_bytes(body[3:5], "big"),
        names=tuple(part[0] for part in parts),
        sampling=tuple((part[1] >> 4, part[1] & 15) for part in parts),
        jfif=jfif,
        adobe=adobe,
    )


def _damaged() -> ImageRefused:
    return ImageRefused("DICOM: the header of the JPEG stream is damaged", "unreadable")
