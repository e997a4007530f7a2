"""Elements are walked over in a loop, whatever they hold and however deep."""

from __future__ import annotations

import struct
import sys
import tracemalloc
from pathlib import Path

import pytest

from skinaudit.images.dicom_elements import EXPLICIT, SEQUENCE_END, Element, ElementReader, Encoding
from skinaudit.images.dicom_source import FileBytes
from skinaudit.images.refusal import ImageRefused
from tests.images import dicom_files
from tests.images.dicom_files import ITEM_END, element, item

UNDEFINED = 0xFFFFFFFF
SEQUENCE = 0x0040A730
END = dicom_files.SEQUENCE_END


def _reader(tmp_path: Path, data: bytes, encoding: Encoding = EXPLICIT, most: int = 10**6) -> ElementReader:
    (tmp_path / "elements").write_bytes(data)
    return ElementReader(FileBytes((tmp_path / "elements").open("rb")), encoding, most)


def _skip_first(reader: ElementReader) -> Element | None:
    """Pass over the first element; what comes next?"""
    start = reader.next()
    assert start is not None
    reader.skip(start)
    return reader.next()


AFTER = element(0x00500010, b"US", b"\1\0")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        item() + item(b"12345678"),
        item(element(0x00100010, b"PN", b"AB"), UNDEFINED) + ITEM_END,
        item(element(SEQUENCE, b"SQ", item(b"", UNDEFINED) + ITEM_END + END, UNDEFINED), UNDEFINED) + ITEM_END,
        item(element(0x7FE00010, b"OB", item() + item(b"ab") + END, UNDEFINED), UNDEFINED) + ITEM_END,
        item(
            element(
                SEQUENCE, b"UN", item(struct.pack("<HHI", 16, 16, 4) + b"A^BC", UNDEFINED) + ITEM_END + END, UNDEFINED
            ),
            UNDEFINED,
        )
        + ITEM_END,
    ],
    ids=["empty", "items", "open item", "nested", "nested pixels", "implicit inside UN"],
)
def test_a_sequence_of_undefined_length_is_passed_over(tmp_path: Path, content: bytes) -> None:
    reader = _reader(tmp_path, element(SEQUENCE, b"SQ", content + END, UNDEFINED) + AFTER)
    assert _skip_first(reader) == Element(0x00500010, b"US", 2)


def test_a_sequence_of_unknown_kind_holds_implicit_elements(tmp_path: Path) -> None:
    inside = struct.pack("<HHI", 0x0010, 0x0010, 4) + b"A^BC"
    data = element(SEQUENCE, b"UN", item(inside, UNDEFINED) + ITEM_END + END, UNDEFINED) + AFTER
    assert _skip_first(_reader(tmp_path, data)) == Element(0x00500010, b"US", 2)


def test_levels_without_number_need_no_recursion(tmp_path: Path) -> None:
    depth = 15_000
    assert depth > 10 * sys.getrecursionlimit()
    down = element(SEQUENCE, b"SQ", item(b"", UNDEFINED), UNDEFINED) * depth
    reader = _reader(tmp_path, down + (ITEM_END + END) * depth + AFTER)
    assert _skip_first(reader) == Element(0x00500010, b"US", 2)
    with pytest.raises(ImageRefused, match="truncated"):
        _skip_first(_reader(tmp_path, down))


@pytest.mark.parametrize(
    "content",
    [ITEM_END, element(0x00100010, b"PN", b"AB"), item(END, UNDEFINED), item(item(), UNDEFINED), END[:5]],
    ids=["end of no item", "element outside an item", "end inside an item", "item inside an item", "torn"],
)
def test_marks_in_the_wrong_place_are_damage(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ImageRefused, match=r"damaged|truncated") as caught:
        _skip_first(_reader(tmp_path, element(SEQUENCE, b"SQ", content, UNDEFINED)))
    assert not caught.value.refused


def test_elements_are_counted_the_nested_ones_too(tmp_path: Path) -> None:
    data = element(SEQUENCE, b"SQ", item() * 20 + END, UNDEFINED) + AFTER
    assert _skip_first(_reader(tmp_path, data, most=23))
    with pytest.raises(ImageRefused, match="more than 21 data elements"):
        _skip_first(_reader(tmp_path, data, most=21))


def test_items_without_number_take_no_memory(tmp_path: Path) -> None:
    """pydicom makes an object of about a kilobyte of each."""
    reader = _reader(tmp_path, element(SEQUENCE, b"SQ", item() * 20_000 + END, UNDEFINED) + AFTER)
    tracemalloc.start()
    assert _skip_first(reader)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


@pytest.mark.parametrize("kind", [b"\0\0", b"us", b"U1", b"  "])
def test_a_kind_that_is_no_two_letters_is_damage(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(ImageRefused, match="damaged"):
        _reader(tmp_path, element(0x00280010, kind, b"\1\0")).next()


def test_each_encoding_is_read_in_its_byte_order(tmp_path: Path) -> None:
    implicit = struct.pack("<HHI", 0x0028, 0x0010, 2) + b"\1\0"
    assert _reader(tmp_path, implicit, Encoding(implicit=True)).next() == Element(0x00280010, b"", 2)
    big = struct.pack(">HH2sH", 0x0028, 0x0010, b"US", 2) + b"\0\1"
    assert _reader(tmp_path, big, Encoding(big_endian=True)).next() == Element(0x00280010, b"US", 2)
    big = struct.pack(">HH2sHI", 0x7FE0, 0x0010, b"OW", 0, UNDEFINED)
    assert _reader(tmp_path, big, Encoding(big_endian=True)).next() == Element(0x7FE00010, b"OW", None)


def test_a_value_is_read_only_when_it_can_be_one(tmp_path: Path) -> None:
    reader = _reader(tmp_path, element(0x00280004, b"CS", b"RGB "))
    start = reader.next()
    assert start is not None
    with pytest.raises(ImageRefused, match="longer than it can be"):
        reader.value(start, 3)
    with pytest.raises(ImageRefused, match="longer than it can be"):
        reader.value(Element(start.tag, b"UN", None), 16)
    with pytest.raises(ImageRefused, match="truncated"):
        reader.part(start, 2, 3)
    assert reader.value(start, 4) == b"RGB "


def test_a_file_that_ends_between_elements_is_at_its_end(tmp_path: Path) -> None:
    assert _reader(tmp_path, b"").next() is None
    with pytest.raises(ImageRefused, match="truncated"):
        _reader(tmp_path, AFTER[:6]).next()
    assert _reader(tmp_path, END).next() == Element(SEQUENCE_END, b"", 0)
