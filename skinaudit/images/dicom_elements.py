"""Data elements of a DICOM file, one after the other (PS3.5, section 7): what they are and how long, not what they say.

pydicom would build an object of every item of every sequence, and recurse into them; a hostile file of a few megabytes
takes gigabytes that way. Here a sequence is passed over in a loop, and its values are never looked at.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from skinaudit.images.dicom_source import Source, exactly, truncated
from skinaudit.images.refusal import ImageRefused

ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD

#: Elements and items of one file, nested ones included. A photograph has some hundreds.
MOST_ELEMENTS = 200_000

_UNDEFINED = 0xFFFFFFFF
_DELIMITER_GROUP = 0xFFFE

#: Value representations with a length of 32 bits (PS3.5, 7.1.2).
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}


@dataclass(frozen=True)
class Encoding:
    """How elements are written: with or without their value representation, and in which byte order."""

    implicit: bool = False
    big_endian: bool = False

    @property
    def order(self) -> str:
        """Byte order as `struct` spells it."""
        return ">" if self.big_endian else "<"


#: The usual one, and that of the file meta information.
EXPLICIT = Encoding()


@dataclass(frozen=True)
class Element:
    """The start of one data element.

    Attributes:
        tag: group and element number, 32 bits.
        kind: value representation, empty where the encoding does not write it.
        length: bytes of the value; None when it is undefined and an end mark follows.
    """

    tag: int
    kind: bytes
    length: int | None


class ElementReader:
    """Walks over the elements of one data set. The caller reads or skips each value before it asks for the next."""

    def __init__(self, source: Source, encoding: Encoding, most: int = MOST_ELEMENTS) -> None:
        self.encoding = encoding
        self._source = source
        self._most = self._left = most

    def next(self) -> Element | None:
        """The start of the next element; None at the end of the file.

        Raises:
            ImageRefused: damaged, truncated, or far too many elements.
        """
        return self._start(self.encoding)

    def value(self, element: Element, most: int) -> bytes:
        """An element's value.

        Args:
            element: the one that was started last.
            most: bytes that a value of its kind may have.

        Raises:
            ImageRefused: longer, of undefined length, or truncated.
        """
        if element.length is None or element.length > most:
            raise ImageRefused("DICOM: an attribute of the image is longer than it can be", "unreadable")
        return exactly(self._source, element.length)

    def part(self, element: Element, start: int, size: int) -> bytes:
        """Some bytes of an element's value; what follows them is left unread."""
        if element.length is None or start + size > element.length:
            raise truncated()
        self._source.skip(start)
        return exactly(self._source, size)

    def skip(self, element: Element) -> None:
        """Pass over an element's value, sequences of any depth included.

        Raises:
            ImageRefused: damaged, truncated, or far too many elements.
        """
        if element.length is not None:
            self._source.skip(element.length)
            return
        levels = [(False, _inside(element, self.encoding))]  # (is it an item?, encoding of what it holds)
        while levels:
            is_item, encoding = levels[-1]
            start = self._start(encoding)
            if start is None:
                raise truncated()
            expected = start.tag >> 16 != _DELIMITER_GROUP if is_item else start.tag == ITEM
            if start.tag == (ITEM_END if is_item else SEQUENCE_END):
                levels.pop()
            elif not expected:
                raise _damaged()
            elif start.length is None:
                levels.append((not is_item, _inside(start, encoding) if is_item else encoding))
            else:
                self._source.skip(start.length)

    def _start(self, encoding: Encoding) -> Element | None:
        head = self._source.take(8)
        if not head:
            return None
        if len(head) < 8:
            raise truncated()
        self._left -= 1
        if self._left < 0:
            raise ImageRefused(f"DICOM: more than {self._most} data elements")
        group, number = struct.unpack_from(encoding.order + "HH", head)
        kind = b"" if encoding.implicit or group == _DELIMITER_GROUP else head[4:6]
        if not kind:
            length = _number(encoding, head[4:])
        elif not (kind.isalpha() and kind.isupper()):
            raise _damaged()
        elif kind in _LONG:
            length = _number(encoding, exactly(self._source, 4))
        else:
            length = _number(encoding, head[6:])
        return Element(group << 16 | number, kind, None if length == _UNDEFINED else length)


def _inside(element: Element, encoding: Encoding) -> Encoding:
    """How an element of undefined length is written inside: of kind UN implicit, little endian (PS3.5, 6.2.2)."""
    return Encoding(implicit=True) if element.kind == b"UN" else encoding


def _number(encoding: Encoding, data: bytes) -> int:
    return int.from_bytes(data, "big" if encoding.big_endian else "little")


def _damaged() -> ImageRefused:
    return ImageRefused("DICOM: the data elements are damaged", "unreadable")
