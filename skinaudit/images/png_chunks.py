"""The chunks that a PNG file is made of (ISO/IEC 15948, 5.3), walked with little memory; metadata held to a size."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

from skinaudit.images.refusal import ImageRefused

#: Bytes that the compressed text or profile of one chunk may inflate to. Pillow takes no more, and says "damaged".
MAX_INFLATED = 2**20
#: Bytes of all chunks but the pixels' together, as the decoder would hold them.
MAX_METADATA = 64 * 2**20

_PIECE = 2**16


def chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """(kind, declared length) of each chunk that the file starts, with the stream at its body."""
    place = 8
    stream.seek(place)
    while len(start := stream.read(8)) == 8:
        length = int.from_bytes(start[:4], "big")
        yield start[4:], length
        place += 12 + length
        stream.seek(place)


def pieces(stream: BinaryIO, length: int) -> Iterator[bytes]:
    """The next bytes of the file, a few at a time; fewer where it ends."""
    while length > 0 and (piece := stream.read(min(length, _PIECE))):
        length -= len(piece)
        yield piece


def check_metadata(stream: BinaryIO) -> None:
    """Refuse texts and profiles that are, or would become, larger than any picture needs; none is held in memory.

    Raises:
        ImageRefused: a text (zTXt, iTXt) or a colour profile (iCCP) inflates to ``MAX_INFLATED`` bytes or more, or all
            metadata together take more than ``MAX_METADATA``.
    """
    end = os.fstat(stream.fileno()).st_size
    total = 0
    for kind, length in chunks(stream):
        if kind == b"IDAT":
            continue
        if kind == b"IEND":
            return
        total += min(length, end - stream.tell())  # a length beyond the end is no size but damage, found later
        if total <= MAX_METADATA:
            total += _inflated_size(stream, kind, length)
        if total > MAX_METADATA:
            raise ImageRefused(f"PNG: oversize metadata: more than {MAX_METADATA // 2**20} MiB beside the pixels")


def _inflated_size(stream: BinaryIO, kind: bytes, length: int) -> int:
    """Bytes that the compressed part of a chunk holds; 0 where it has none or is no deflated data.

    Raises:
        ImageRefused: ``MAX_INFLATED`` or more.
    """
    packed = pieces(stream, length)
    head = next(packed, b"")
    start = _compressed_from(kind, head)
    if start is None:
        return 0
    size = 0
    try:
        for amount in _inflated_lengths(chain([head[start:]], packed)):
            size += amount
            if size >= MAX_INFLATED:
                name = kind.decode("ascii")
                raise ImageRefused(f"PNG: oversize metadata: the {name} chunk inflates to 1 MiB or more")
    except zlib.error:
        return size  # Pillow leaves such a text or profile out
    return size


def _inflated_lengths(packed: Iterable[bytes]) -> Iterator[int]:
    """Lengths of what deflated data hold, inflated a little at a time and thrown away."""
    inflater = zlib.decompressobj()
    for piece in packed:
        rest = piece
        while rest:
            yield len(inflater.decompress(rest, _PIECE))
            if inflater.eof:
                return
            rest = inflater.unconsumed_tail


def _compressed_from(kind: bytes, head: bytes) -> int | None:
    """Where the deflated part of a chunk begins, of which all names and tags lie in ``head``; None: there is none."""
    name_end = head.find(b"\0")
    if name_end < 0 or kind not in {b"zTXt", b"iCCP", b"iTXt"}:
        return None
    if kind != b"iTXt":
        return name_end + 2  # name, zero, compression method (11.3.3.3, 11.3.4.3)
    if head[name_end + 1 : name_end + 2] in {b"", b"\0"}:  # not compressed (11.3.4.4)
        return None
    language_end = head.find(b"\0", name_end + 3)
    keyword_end = head.find(b"\0", language_end + 1) if language_end >= 0 else -1
    return keyword_end + 1 if keyword_end >= 0 else None
