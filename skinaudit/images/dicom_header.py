"""What a DICOM file says about its picture. Names, ids, dates and private elements are passed over unread."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import BinaryIO

from skinaudit.images.dicom_elements import EXPLICIT, Element, ElementReader
from skinaudit.images.dicom_source import FileBytes, InflatedBytes, Source
from skinaudit.images.dicom_syntaxes import Syntax, check_storage_class, syntax_of
from skinaudit.images.refusal import ImageRefused

PIXEL_DATA = 0x7FE00010
_OTHER_PIXEL_DATA = {0x7FE00008, 0x7FE00009}  # floating point

_META_GROUP = 2
_STORAGE_CLASS, _TRANSFER_SYNTAX = 0x00020002, 0x00020010

#: Bytes of an identifier (PS3.5, 9.1), of a code string and of an integer string (PS3.5, 6.2), padding included.
_IDENTIFIER, _CODE, _INTEGER = 64, 16, 12

#: Attributes with one unsigned number of 16 bits.
_NUMBERS = {
    0x00280002: "SamplesPerPixel",
    0x00280006: "PlanarConfiguration",
    0x00280010: "Rows",
    0x00280011: "Columns",
    0x00280100: "BitsAllocated",
    0x00280101: "BitsStored",
    0x00280102: "HighBit",
    0x00280103: "PixelRepresentation",
}

#: Attributes of characters, and how many.
_TEXTS = {
    0x00080016: ("SOPClassUID", _IDENTIFIER),
    0x00280004: ("PhotometricInterpretation", _CODE),
    0x00280008: ("NumberOfFrames", _INTEGER),
    0x00280301: ("BurnedInAnnotation", _CODE),
}

#: Attributes of the palettes (PS3.3, C.7.9), and their bytes: three numbers; up to 65536 entries of 16 bits.
_PALETTES = {
    **{0x00281101 + colour: (f"descriptor {colour}", 6) for colour in range(3)},
    **{0x00281201 + colour: (f"palette {colour}", 2 * 65536) for colour in range(3)},
}
_SEGMENTED_PALETTES = {0x00281221, 0x00281222, 0x00281223}

#: Where a program that drew a picture says so: SeriesDescription and ImageComments.
_DESCRIPTIONS = {0x0008103E, 0x00204000}
_DESCRIPTION_START = 64


@dataclass
class Attributes:
    """The attributes that were asked for, by keyword, as far as the file has them."""

    numbers: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    palettes: dict[str, bytes] = field(default_factory=dict)
    segmented: bool = False

    def number(self, name: str) -> int:
        """An attribute that has to be there.

        Raises:
            ImageRefused: it is missing.
        """
        if name not in self.numbers:
            raise ImageRefused(f"DICOM: {name} is missing", "unreadable")
        return self.numbers[name]


def open_data_set(stream: BinaryIO, max_pixels: int) -> tuple[Syntax, ElementReader]:
    """Read the file meta information (PS3.10, 7.1) and stand at the first element of the data set.

    Args:
        stream: a file, at its start.
        max_pixels: most pixels of a picture, which bounds what a deflated data set may grow to.

    Raises:
        ImageRefused: no DICOM file, or of a class or transfer syntax that is not read.
    """
    source = FileBytes(stream)
    if source.take(132)[128:] != b"DICM":
        raise ImageRefused("DICOM: the mark after the preamble is missing", "unreadable")
    meta = ElementReader(source, EXPLICIT)
    found: dict[int, str] = {}
    while int.from_bytes(source.peek(2), "little") == _META_GROUP and (element := meta.next()):
        if element.tag not in {_STORAGE_CLASS, _TRANSFER_SYNTAX}:
            meta.skip(element)
        elif element.tag in found:
            raise _repeated("the file meta information")
        else:
            found[element.tag] = _text(meta.value(element, _IDENTIFIER))
    if _TRANSFER_SYNTAX not in found:
        raise ImageRefused("DICOM: TransferSyntaxUID is missing", "unreadable")
    if _STORAGE_CLASS not in found:
        raise ImageRefused("DICOM: MediaStorageSOPClassUID is missing", "unreadable")
    check_storage_class(found[_STORAGE_CLASS])
    syntax = syntax_of(found[_TRANSFER_SYNTAX])
    content: Source = InflatedBytes(stream, max_pixels) if syntax.deflated else source
    return syntax, ElementReader(content, syntax.encoding)


def read_attributes(reader: ElementReader) -> tuple[Attributes, Element]:
    """Read up to the pixels, which come last, and keep what decides about them.

    Returns:
        The attributes, and the start of the pixels' element.

    Raises:
        ImageRefused: damaged, an attribute twice or of the wrong length, or no pixels.
    """
    found = Attributes()
    while element := reader.next():
        if element.tag == PIXEL_DATA:
            if found.texts.get("SOPClassUID"):
                check_storage_class(found.texts["SOPClassUID"])
            return found, element
        if element.tag in _OTHER_PIXEL_DATA:
            raise ImageRefused("DICOM: floating-point pixels are not supported")
        _keep(found, reader, element)
    raise ImageRefused("DICOM: PixelData is missing", "unreadable")


def starts_with_drawn(reader: ElementReader) -> bool:
    """Does SeriesDescription or ImageComments start with the word "drawn"?

    Only the start counts: a clinician's comment may well speak of a line that was drawn on the skin.

    Raises:
        ImageRefused: damaged.
    """
    while (element := reader.next()) and element.tag not in {PIXEL_DATA, *_OTHER_PIXEL_DATA}:
        if element.tag not in _DESCRIPTIONS or element.length is None:
            reader.skip(element)
            continue
        start = reader.part(element, 0, min(element.length, _DESCRIPTION_START))
        reader.skip(Element(element.tag, element.kind, element.length - len(start)))
        if re.match(rb"\s*drawn\b", start, re.IGNORECASE):
            return True
    return False


def _keep(found: Attributes, reader: ElementReader, element: Element) -> None:
    """Store an element's value when it is wanted; pass over it when not."""
    tag = element.tag
    if tag in _NUMBERS:
        name = _NUMBERS[tag]
        _once(name, found.numbers)
        value = reader.value(element, 2) if element.length == 2 else b""
        if not value:
            raise ImageRefused(f"DICOM: {name} is no single number", "unreadable")
        found.numbers[name] = int.from_bytes(value, "big" if reader.encoding.big_endian else "little")
    elif tag in _TEXTS:
        name, most = _TEXTS[tag]
        _once(name, found.texts)
        found.texts[name] = _text(reader.value(element, most))
    elif tag in _PALETTES:
        name, most = _PALETTES[tag]
        _once(name, found.palettes)
        found.palettes[name] = reader.value(element, most)
    else:
        found.segmented |= tag in _SEGMENTED_PALETTES
        reader.skip(element)


def _once(name: str, found: dict[str, int] | dict[str, str] | dict[str, bytes]) -> None:
    """Two values of one attribute: programs would see two pictures in one file."""
    if name in found:
        raise _repeated(name)


def _repeated(name: str) -> ImageRefused:
    return ImageRefused(f"DICOM: {name} is there twice", "unreadable")


def _text(value: bytes) -> str:
    """Characters of the default repertoire without their padding; others become a sign that no code has."""
    return value.decode("ascii", "replace").strip(" \0")
