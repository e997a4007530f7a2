"""Which page of a TIFF file is the picture, and what its directory may say."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from skinaudit.images.refusal import ImageRefused
from skinaudit.images.tiff_directory import Directory, read_page
from tests.images.tiff_files import Tags, pages, tiff

PICTURE: Tags = {256: (30,), 257: (20,), 258: (8, 8, 8), 262: (2,), 277: (3,)}
REDUCED: Tags = {**PICTURE, 254: (1,), 256: (15,), 257: (10,)}
MASK: Tags = {**PICTURE, 254: (4,)}


def _read(data: bytes) -> Directory:
    return read_page(io.BytesIO(data), len(data))


def _reason(data: bytes) -> str:
    with pytest.raises(ImageRefused) as caught:
        _read(data)
    return caught.value.reason


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_values_of_a_directory(order: str, big: bool) -> None:
    page = _read(pages([PICTURE], [b"ab", b"cdef"], order=order, big=big))
    assert page.order == order
    assert {tag: page.values[tag] for tag in PICTURE} == PICTURE
    assert page.values[279] == (2, 4)
    assert (page.one(256), page.one(274, 1)) == (30, 1)


def test_names_and_places_are_never_read() -> None:
    page = _read(pages([PICTURE | {270: (65, 66), 315: (65, 66), 34853: (8,), 34665: (8,)}], [b""]))
    assert set(page.values) == {*PICTURE, 273, 279}


@pytest.mark.parametrize("beside", [[REDUCED], [MASK], [REDUCED, MASK, REDUCED], [{**PICTURE, 255: (2,)}]])
def test_reduced_copies_and_masks_are_passed_over(beside: list[Tags]) -> None:
    for order in ([PICTURE, *beside], [*beside, PICTURE]):
        page = _read(pages(order, [b""]))
        assert {254, 255}.isdisjoint(page.values)


def test_several_pictures_or_none_are_refused() -> None:
    assert _reason(pages([PICTURE, PICTURE], [b""])).startswith("TIFF: 2 pictures in one file")
    small = {**PICTURE, 256: (15,)}  # small, but not marked as a copy
    assert _reason(pages([PICTURE, REDUCED, small], [b""])).startswith("TIFF: 2 pictures in one file")
    assert _reason(pages([{**PICTURE, 254: (2,)}, {**PICTURE, 254: (2,)}], [b""])).startswith("TIFF: 2 pictures")
    assert _reason(pages([REDUCED], [b""])).startswith("TIFF: no picture of full size")


def test_pages_that_run_in_a_circle_or_never_end_are_refused() -> None:
    data = bytearray(pages([PICTURE], [b""]))
    first = struct.unpack_from("<I", data, 4)[0]
    entries = struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    assert "circle" in _reason(bytes(data))
    assert "more than 64" in _reason(pages([PICTURE, *[REDUCED] * 64], [b""]))


def test_a_directory_outside_the_file_is_unreadable() -> None:
    data = pages([PICTURE], [b""])
    for length in range(8, len(data)):
        assert "outside the file" in _reason(data[:length])


@pytest.mark.parametrize("mark", [b"II*\0", b"MM\0+" + bytes(12), b"II+\0\4\0\0\0" + bytes(8)])
def test_a_damaged_header_is_unreadable(mark: bytes) -> None:
    assert _reason(mark) == "TIFF: the header is damaged"


def test_a_file_without_pages_holds_no_picture() -> None:
    assert "no picture" in _reason(b"II*\0\0\0\0\0")


def test_a_tag_that_comes_twice_or_holds_too_much_is_unreadable() -> None:
    data = bytearray(pages([PICTURE], [b""]))
    first = struct.unpack_from("<I", data, 4)[0]
    twice, text, many = bytearray(data), bytearray(data), bytearray(data)
    struct.pack_into("<H", twice, first + 2 + 12, 256)
    struct.pack_into("<H", text, first + 2 + 2, 2)
    struct.pack_into("<I", many, first + 2 + 4, 2**30)
    for changed in (twice, text, many):
        assert _reason(bytes(changed)).startswith("TIFF: tag 256 comes twice, holds no whole numbers or too many")
    struct.pack_into("<H", data, first, 5000)
    assert "5000" not in _reason(bytes(data))
    assert "entries" in _reason(bytes(data))


def test_a_number_that_is_missing_or_several_is_unreadable() -> None:
    page = _read(tiff(np.zeros((2, 2, 3), np.uint8)))
    for tag in (258, 274):
        with pytest.raises(ImageRefused, match=f"tag {tag} is missing or no single number"):
            page.one(tag)
