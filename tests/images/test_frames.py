"""A process that decodes is not believed: every answer is held against its bounds."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from skinaudit.images.decode import Picture
from skinaudit.images.frames import BrokenFrame, read_answer, read_frame, write_answer, write_frame
from skinaudit.images.refusal import ImageRefused

GOOD = {"format": "PNG", "drawn": False, "height": 2, "width": 3}


def sent(header: object, pixels: bytes = b"") -> io.BytesIO:
    stream = io.BytesIO()
    write_frame(stream, json.dumps(header).encode())
    return io.BytesIO(stream.getvalue() + pixels)


def test_a_picture_arrives_as_it_was_sent() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    stream = io.BytesIO()
    write_answer(stream, Picture(pixels[:, ::-1], "DICOM", drawn=True))
    stream.seek(0)
    found = read_answer(stream, 8)
    assert isinstance(found, Picture)
    assert (found.file_format, found.drawn) == ("DICOM", True)
    np.testing.assert_array_equal(found.pixels, pixels[:, ::-1])


@pytest.mark.parametrize("status", ["refused", "unreadable"])
def test_a_refusal_arrives_as_it_was_sent(status: str) -> None:
    stream = io.BytesIO()
    write_answer(stream, ImageRefused("16 × 16 pixels", status))
    stream.seek(0)
    found = read_answer(stream, 8)
    assert isinstance(found, ImageRefused)
    assert (found.reason, found.status) == ("16 × 16 pixels", status)


@pytest.mark.parametrize(
    "header",
    [
        [],
        {},
        "PNG",
        {**GOOD, "more": 1},
        {**GOOD, "format": 7},
        {**GOOD, "format": "PNG\n"},
        {**GOOD, "format": "P" * 33},
        {**GOOD, "drawn": 1},
        {**GOOD, "height": 0},
        {**GOOD, "height": -2, "width": -3},
        {**GOOD, "height": True},
        {**GOOD, "height": 2.0},
        {**GOOD, "height": 10**9, "width": 10**9},
        {"reason": "x", "status": "fine"},
        {"reason": "", "status": "refused"},
        {"reason": "two\nlines", "status": "refused"},
        {"reason": "x" * 401, "status": "refused"},
        {"reason": None, "status": "refused"},
    ],
)
def test_anything_else_is_no_answer(header: object) -> None:
    with pytest.raises(BrokenFrame):
        read_answer(sent(header, b"\0" * 18), 6)


def test_the_cap_is_the_last_size_that_is_taken() -> None:
    assert isinstance(read_answer(sent(GOOD, b"\0" * 18), 6), Picture)
    with pytest.raises(BrokenFrame):
        read_answer(sent(GOOD, b"\0" * 18), 5)


@pytest.mark.parametrize(
    "data", [b"", b"\0\0", b"\0\0\0\5ab", b"\xff\xff\xff\xff", b"\0\0\0\2\xff\xfe", b"\0\0\xff\xff" + b"[" * 0xFFFF]
)
def test_torn_endless_and_nested_frames_are_no_answer(data: bytes) -> None:
    with pytest.raises(BrokenFrame):
        read_answer(io.BytesIO(data), 6)


def test_pixels_that_are_cut_off_are_no_answer() -> None:
    with pytest.raises(BrokenFrame, match="cut off in its pixels"):
        read_answer(sent(GOOD, b"\0" * 17), 6)


def test_a_closed_stream_has_no_frame_and_an_oversize_one_is_not_sent() -> None:
    assert read_frame(io.BytesIO()) is None
    with pytest.raises(ValueError, match="at most 65536"):
        write_frame(io.BytesIO(), b"x" * 65537)
