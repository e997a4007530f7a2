"""TIFF files written tag by tag after the specification (TIFF 6.0 and its supplements), with encoders of their own."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.uint8] | NDArray[np.uint16]
Tags = Mapping[int, tuple[int, ...]]

NONE, LZW, JPEG, DEFLATE, PACKBITS = 1, 5, 7, 8, 32773

_TYPES = {254: "I", 256: "I", 257: "I", 273: "I", 278: "I", 279: "I", 322: "I", 323: "I", 324: "I", 325: "I", 347: "B"}
_NUMBERS = {"B": 7, "H": 3, "I": 4, "Q": 16}


def pages(tags_of_pages: Iterable[Tags], blocks: Iterable[bytes], *, order: str = "<", big: bool = False) -> bytes:
    """A file whose pages all point at the same blocks (strips, or tiles where TileWidth is among the tags)."""
    blocks = list(blocks)
    word, width = ("Q", 20) if big else ("I", 12)
    mark = struct.pack(order + ("HHH" if big else "H"), *((43, 8, 0) if big else (42,)))
    file = bytearray((b"II" if order == "<" else b"MM") + mark + bytes(struct.calcsize(word)))
    link = len(file) - struct.calcsize(word)
    places = []
    for block in blocks:
        places.append(len(file))
        file += block + b"\0" * (len(block) % 2)
    for tags in tags_of_pages:
        where = (324, 325) if 322 in tags else (273, 279)
        all_tags = {where[0]: tuple(places), where[1]: tuple(map(len, blocks))} | dict(tags)
        struct.pack_into(order + word, file, link, len(file))
        start = len(file) + (8 if big else 2)
        behind = start + width * len(all_tags) + struct.calcsize(word)
        table, data = b"", b""
        for tag, values in sorted(all_tags.items()):
            kind = "Q" if big and tag in {273, 279, 324, 325} else _TYPES.get(tag, "H")
            packed = struct.pack(f"{order}{len(values)}{kind}", *values)
            if len(packed) > struct.calcsize(word):
                packed, data = struct.pack(order + word, behind + len(data)), data + packed + b"\0" * (len(packed) % 2)
            table += struct.pack(f"{order}HH{word}", tag, _NUMBERS[kind], len(values))
            table += packed.ljust(struct.calcsize(word), b"\0")
        file += struct.pack(order + ("Q" if big else "H"), len(all_tags)) + table
        link = len(file)
        file += bytes(struct.calcsize(word)) + data
    return bytes(file)


def tiff(
    samples: Samples,
    *,
    photometric: int = 2,
    compression: int = NONE,
    tile: tuple[int, int] | None = None,
    rows: int = 7,
    planar: bool = False,
    differences: bool = False,
    order: str = "<",
    big: bool = False,
    changed: Tags | None = None,
    without: tuple[int, ...] = (),
) -> bytes:
    """One page of samples (H, W, S) of 8 or 16 bits, in strips of some rows or in tiles (height, width)."""
    height, width, count = samples.shape
    tags: dict[int, tuple[int, ...]] = {256: (width,), 257: (height,), 258: (samples.dtype.itemsize * 8,) * count}
    tags |= {259: (compression,), 262: (photometric,), 277: (count,), 284: (2 if planar else 1,)}
    tags |= {322: (tile[1],), 323: (tile[0],)} if tile else {278: (rows,)}
    tags |= {317: (2,)} if differences else {}
    tags |= dict(changed or {})
    pieces = np.split(samples, count, axis=2) if planar else [samples]
    blocks = [block for piece in pieces for block in _blocks(piece, tile, rows)]
    stored = [encode(_differences(block) if differences else block, compression, order) for block in blocks]
    return pages([{tag: values for tag, values in tags.items() if tag not in without}], stored, order=order, big=big)


def encode(block: Samples, compression: int, order: str = "<") -> bytes:
    """The bytes of a strip or tile."""
    raw = block.astype(block.dtype.newbyteorder(order)).tobytes()
    if compression == DEFLATE:
        return zlib.compress(raw)
    if compression == PACKBITS:
        return b"".join(bytes([len(raw[at : at + 128]) - 1]) + raw[at : at + 128] for at in range(0, len(raw), 128))
    return _lzw(raw) if compression == LZW else raw


def _lzw(raw: bytes) -> bytes:
    """Valid LZW that never uses its table: 9-bit literals, cleared (256) before codes grow longer, ended by 257."""
    codes = [code for at in range(0, len(raw), 200) for code in (256, *raw[at : at + 200])] + [257]
    bits = "".join(f"{code:09b}" for code in codes)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def _differences(block: Samples) -> Samples:
    result = block.copy()
    result[:, 1:] -= block[:, :-1]
    return result


def _blocks(samples: Samples, tile: tuple[int, int] | None, rows: int) -> list[Samples]:
    height, width = samples.shape[:2]
    if tile is None:
        return [samples[top : top + rows] for top in range(0, height, rows)]
    padded = np.pad(samples, ((0, -height % tile[0]), (0, -width % tile[1]), (0, 0)), mode="edge")
    return [
        padded[top : top + tile[0], left : left + tile[1]]
        for top in range(0, height, tile[0])
        for left in range(0, width, tile[1])
    ]
