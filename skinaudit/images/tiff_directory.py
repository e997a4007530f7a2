"""The directories of a TIFF file: which pages there are, and the numbers in them that decide about pixels."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from skinaudit.images.refusal import ImageRefused

#: Pages of one file that are looked at, entries of one directory, values of one entry: far above any photograph.
_MOST_PAGES = 64
_MOST_ENTRIES = 4096
_MOST_VALUES = 2**17

#: Field types (TIFF 6.0, section 2; BigTIFF) that hold whole numbers, and their code for `struct`.
_WHOLE = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}

NEW_SUBFILE_TYPE, SUBFILE_TYPE = 254, 255
IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
FILL_ORDER, ORIENTATION, SAMPLES_PER_PIXEL = 266, 274, 277
STRIP_OFFSETS, ROWS_PER_STRIP, STRIP_BYTE_COUNTS = 273, 278, 279
PLANAR_CONFIGURATION, PREDICTOR, COLOR_MAP = 284, 317, 320
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTE_COUNTS = 322, 323, 324, 325
INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES = 332, 338, 339, 347

#: What is read at all. Names, dates, places and descriptions are passed over, and no decoder sees them.
_WANTED = frozenset(
    {
        *(NEW_SUBFILE_TYPE, SUBFILE_TYPE, IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC),
        *(FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES_PER_PIXEL, ROWS_PER_STRIP, STRIP_BYTE_COUNTS),
        *(PLANAR_CONFIGURATION, PREDICTOR, COLOR_MAP, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTE_COUNTS),
        *(INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES),
    }
)

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_OLD_FULL = 1  # value of SubfileType


@dataclass(frozen=True)
class Directory:
    """One page as its directory describes it.

    Attributes:
        order: "<" or ">", the byte order of the file.
        values: tag -> its values; wanted tags only.
    """

    order: str
    values: Mapping[int, tuple[int, ...]]

    def one(self, tag: int, default: int | None = None) -> int:
        """The single value of a tag.

        Raises:
            ImageRefused: it is missing and there is no default, or it has several values.
        """
        values = self.values.get(tag, () if default is None else (default,))
        if len(values) != 1:
            raise ImageRefused(f"TIFF: tag {tag} is missing or no single number", "unreadable")
        return values[0]

    @property
    def full_size(self) -> bool:
        """Is the page a picture of its own, and not a reduced copy or a mask of another one?"""
        if NEW_SUBFILE_TYPE in self.values:
            return not self.one(NEW_SUBFILE_TYPE) & (_REDUCED | _MASK)
        return self.one(SUBFILE_TYPE, _OLD_FULL) == _OLD_FULL


@dataclass(frozen=True)
class _Form:
    """How numbers are laid out: classic TIFF or BigTIFF."""

    order: str
    count: str  # number of entries
    word: str  # number of values, and offsets


def read_page(stream: BinaryIO, size: int) -> Directory:
    """Find the one full-size picture of a TIFF or BigTIFF file.

    Reduced copies and masks beside it are passed over when NewSubfileType (or the older SubfileType) marks them so.

    Args:
        stream: the file.
        size: its bytes.

    Returns:
        The directory of the picture.

    Raises:
        ImageRefused: none or several pictures, or directories that lie outside the file, return or never end.
    """
    form, offset = _header(stream)
    pages: list[Directory] = []
    seen: set[int] = set()
    while offset:
        if offset in seen or len(seen) == _MOST_PAGES:
            raise ImageRefused(f"TIFF: the pages run in a circle or are more than {_MOST_PAGES}", "unreadable")
        seen.add(offset)
        page, offset = _directory(stream, offset, size, form)
        pages.append(page)
    full = [page for page in pages if page.full_size]
    if len(full) != 1:
        found = "no picture of full size" if not full else f"{len(full)} pictures in one file"
        raise ImageRefused(f"TIFF: {found}; save the one that is meant alone")
    return full[0]


def _header(stream: BinaryIO) -> tuple[_Form, int]:
    """The form of the file, and where its first directory lies."""
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    if len(head) >= 8 and struct.unpack_from(order + "H", head, 2)[0] == 42:
        return _Form(order, "H", "I"), struct.unpack_from(order + "I", head, 4)[0]
    if len(head) == 16 and struct.unpack_from(order + "HHH", head, 2) == (43, 8, 0):
        return _Form(order, "Q", "Q"), struct.unpack_from(order + "Q", head, 8)[0]
    raise ImageRefused("TIFF: the header is damaged", "unreadable")


def _directory(stream: BinaryIO, offset: int, size: int, form: _Form) -> tuple[Directory, int]:
    """One directory, and the offset of the next (0 after the last)."""
    layout = f"{form.order}HH{form.word}"
    field = struct.calcsize(form.order + form.word)
    count: int = struct.unpack(form.order + form.count, _read(stream, offset, struct.calcsize(form.count), size))[0]
    if count > _MOST_ENTRIES:
        raise ImageRefused(f"TIFF: a directory of more than {_MOST_ENTRIES} entries", "unreadable")
    width = struct.calcsize(layout) + field
    start = offset + struct.calcsize(form.order + form.count)
    table = _read(stream, start, count * width + field, size)
    values: dict[int, tuple[int, ...]] = {}
    for entry in range(0, count * width, width):
        tag, kind, number = struct.unpack_from(layout, table, entry)
        if tag not in _WANTED:
            continue
        if tag in values or kind not in _WHOLE or number > _MOST_VALUES:
            raise ImageRefused(f"TIFF: tag {tag} comes twice, holds no whole numbers or too many", "unreadable")
        form_of_values = f"{form.order}{number}{_WHOLE[kind]}"
        length, inline = struct.calcsize(form_of_values), table[entry + width - field : entry + width]
        place: int = struct.unpack(form.order + form.word, inline)[0]
        data = inline[:length] if length <= field else _read(stream, place, length, size)
        values[tag] = struct.unpack(form_of_values, data)
    return Directory(form.order, values), struct.unpack_from(form.order + form.word, table, count * width)[0]


def _read(stream: BinaryIO, offset: int, length: int, size: int) -> bytes:
    """Bytes of the file, none of them behind its end."""
    if offset + length > size:
        raise ImageRefused("TIFF: a directory lies outside the file (truncated or damaged)", "unreadable")
    stream.seek(offset)
    return stream.read(length)
