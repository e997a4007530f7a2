"""PNG by Pillow (ISO/IEC 15948), with what Pillow lacks: all 16 bits, colour keys at every depth, missing rows."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from skinaudit.images.colour import eight_bits, with_alpha
from skinaudit.images.pillow_formats import open_checked, strict_pillow, upright_pixels
from skinaudit.images.png_chunks import check_metadata, chunks, pieces
from skinaudit.images.refusal import ImageRefused

#: Colour types of IHDR.
_GREY, _RGB, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 4, 6

#: Samples a pixel of each colour type; 3 is a palette.
_SAMPLES = {_GREY: 1, _RGB: 3, 3: 1, _GREY_ALPHA: 2, _RGB_ALPHA: 4}

#: Passes of Adam7: first column and row, step of both (8.2).
_PASSES_OF_ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)

_PIECE = 2**16

#: How Pillow is asked for the bytes of 16-bit samples. It stores 8 bits, but told the wrong byte order it takes the
#: lower byte, so that two passes give all of a sample. Grey with alpha fits into the four bytes of one RGBA pixel.
_PASSES: dict[int, tuple[str, ...]] = {
    _RGB: ("RGB;16B", "RGB;16L"),
    _GREY_ALPHA: ("RGBA",),
    _RGB_ALPHA: ("RGBA;16B", "RGBA;16L"),
}


def read_png(stream: BinaryIO, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a PNG stream.

    Fewer than 8 bits a sample are widened to the whole range; 16 bits are rounded (`eight_bits`), alpha as well, before
    transparency is laid over white. A transparent colour (tRNS) is compared at the depth of the file.

    Args:
        stream: a file, at its start.
        max_pixels: most pixels, held against the header before decoding.

    Returns:
        (H, W, 3) uint8, upright.

    Raises:
        ImageRefused: too large, metadata as well, an animation, truncated or damaged.
    """
    with strict_pillow("PNG"):
        stream.seek(16)
        width, height, depth, colour, interlaced = struct.unpack(">IIBBxxB", stream.read(13))
        check_metadata(stream)  # before Pillow, which reads all of it on opening
        with open_checked(stream, "PNG", max_pixels) as image:
            if getattr(image, "is_animated", False):
                raise ImageRefused("PNG: an animation, not one picture")
            where = stream.tell()
            if not _is_complete(stream, _inflated_size(width, height, depth * _SAMPLES[colour], interlaced)):
                raise ImageRefused("PNG: the data is truncated", "unreadable")
            stream.seek(where)
            return upright_pixels(_deep(image, stream, colour) if depth == 16 else _shallow(image, depth))


def _inflated_size(width: int, height: int, bits: int, interlaced: int) -> int:
    """Bytes of all rows, each with its filter byte; ``bits`` a pixel."""
    passes = _PASSES_OF_ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = [(-((left - width) // across), -((top - height) // down)) for left, top, across, down in passes]
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0)


def _is_complete(stream: BinaryIO, needed: int) -> bool:
    """Are all rows there, and the end mark? Pillow leaves missing rows black, and stops before the last checksum."""
    inflater = zlib.decompressobj()
    for kind, length in chunks(stream):
        if kind == b"IEND":
            return needed <= 0
        for piece in pieces(stream, length) if kind == b"IDAT" and needed > 0 else ():
            rest = piece
            while rest and needed > 0:
                needed -= len(inflater.decompress(rest, _PIECE))  # in small pieces, which are thrown away
                rest = inflater.unconsumed_tail
    return False


def _shallow(image: ImageFile.ImageFile, depth: int) -> Image.Image:
    """A picture of at most 8 bits a sample; Pillow compares a colour key with samples that it has widened already."""
    image.load()
    key = image.info.get("transparency")
    if key is None or image.mode not in {"L", "RGB"}:
        return image
    most = 2**depth - 1
    values = [(value & most) * 255 // most for value in (key if isinstance(key, tuple) else (key,))]
    return _keyed(image, image, _matches(np.asarray(image), values))


def _deep(image: ImageFile.ImageFile, stream: BinaryIO, colour: int) -> Image.Image:
    """A picture of 16 bits a sample, rounded to 8."""
    samples = _samples(image, stream, colour)
    shallow = eight_bits(samples)
    if colour == _GREY_ALPHA:
        rounded = Image.merge("LA", [Image.fromarray(np.ascontiguousarray(shallow[..., band])) for band in (0, 1)])
    else:
        rounded = Image.fromarray(shallow)
    key = image.info.get("transparency") if colour in {_GREY, _RGB} else None
    transparent = None if key is None else _matches(samples, key if isinstance(key, tuple) else (key,))
    return _keyed(image, rounded, transparent)


def _samples(image: ImageFile.ImageFile, stream: BinaryIO, colour: int) -> NDArray[np.uint16]:
    """All bits of a 16-bit picture: (H, W) grey, else (H, W, samples)."""
    if colour == _GREY:
        image.load()
        return np.asarray(image).astype(np.uint16)
    passes = []
    for number, layout in enumerate(_PASSES[colour]):
        again = image if number == 0 else open_checked(stream, "PNG", image.width * image.height)
        again.tile = [tile._replace(args=layout) for tile in again.tile]
        again.load()
        passes.append(np.asarray(again))
    high, low = passes if len(passes) == 2 else (passes[0][..., ::2], passes[0][..., 1::2])
    return np.asarray(high.astype(np.uint16) << 8 | low)


def _matches(samples: NDArray[np.generic], key: Sequence[int]) -> NDArray[np.bool_]:
    """Where (H, W) the samples equal the colour key."""
    if samples.ndim == 2:
        return np.asarray(samples == key[0])
    same: NDArray[np.bool_] = samples[..., 0] == key[0]
    for band, value in enumerate(key[1:], start=1):
        same &= samples[..., band] == value
    return same


def _keyed(source: Image.Image, picture: Image.Image, transparent: NDArray[np.bool_] | None) -> Image.Image:
    """The picture with the metadata of its file (the orientation is among them) and without its colour key."""
    picture = picture.copy() if picture is source else picture
    picture.info = {name: value for name, value in source.info.items() if name != "transparency"}
    return picture if transparent is None else with_alpha(picture, transparent)
