"""Damaged and hostile image files of every format, by the thousand: always the same ones for the same seed."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from tests.images.dicom_files import patient_dataset

SIZE = 24

#: Numbers that break sums and buffers, where a header holds another.
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def sources() -> dict[str, bytes]:
    """Sound little pictures: name with the ending of its format -> file."""
    return _pillow_sources() | _dicom_sources()


def mutants(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """(file name, bytes) of that many damaged files, the sources taken in turn."""
    sound = list(sources().items())
    for number in range(count):
        name, data = sound[number % len(sound)]
        draw = random.Random(f"{seed} {number}")
        kind = draw.choice(list(_KINDS))
        broken = bytearray(data)
        for _ in range(draw.choice((1, 1, 1, 2, 4))):
            broken = _KINDS[kind](broken, draw, sound)
        if name.endswith(".png") and draw.random() < 0.7:
            broken = _with_checksums(broken)  # else the checksum ends most of these before a decoder sees them
        yield f"{number:04d}-{kind}-{name}", bytes(broken)


def write_mutants(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write them into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, data in mutants(count, seed):
        paths.append(folder / name)
        paths[-1].write_bytes(data)
    return paths


def _flip(data: bytearray, draw: random.Random, _others: list[tuple[str, bytes]]) -> bytearray:
    for _ in range(draw.randint(1, 8)):
        if data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return data


def _truncate(data: bytearray, draw: random.Random, _others: list[tuple[str, bytes]]) -> bytearray:
    return data[: draw.randrange(len(data) + 1)]


def _splice(data: bytearray, draw: random.Random, others: list[tuple[str, bytes]]) -> bytearray:
    """A piece of another file, or of this one, put in or laid over."""
    other = draw.choice([bytes(data), draw.choice(others)[1]])
    start = draw.randrange(len(other) + 1)
    piece = other[start : start + draw.randint(1, 200)]
    where = draw.randrange(len(data) + 1)
    return data[:where] + piece + data[where + draw.choice((0, len(piece))) :]


def _renumber(data: bytearray, draw: random.Random, _others: list[tuple[str, bytes]]) -> bytearray:
    """Another number in the header: 1, 2 or 4 bytes of either order, in the first part of the file."""
    width, order = draw.choice(("B", "H", "I")), draw.choice("<>")
    value = draw.choice(_NUMBERS) & ((1 << 8 * struct.calcsize(width)) - 1)
    most = min(len(data), draw.choice((64, 256, 2048))) - struct.calcsize(width)
    if most > 0:
        struct.pack_into(order + width, data, draw.randrange(most), value)
    return data


def _repeat(data: bytearray, draw: random.Random, _others: list[tuple[str, bytes]]) -> bytearray:
    """A piece many times over: nested and endless structures."""
    start = draw.randrange(len(data) + 1)
    piece = data[start : start + draw.randint(1, 32)]
    return data[:start] + piece * draw.choice((10, 100, 1000)) + data[start:]


_KINDS = {"flip": _flip, "cut": _truncate, "splice": _splice, "number": _renumber, "repeat": _repeat}


def _with_checksums(data: bytearray) -> bytearray:
    """The same PNG with every checksum right again."""
    place = 8
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return data


def _pixels() -> NDArray[np.uint8]:
    small = np.random.default_rng(7).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.array(Image.fromarray(small).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _pillow_sources() -> dict[str, bytes]:
    image = Image.fromarray(_pixels())
    grey, alpha = image.convert("L"), image.convert("RGBA")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    exif[0x010F] = "maker"
    files = {
        "rgb.png": _saved(image, "PNG"),
        "palette.png": _saved(image.quantize(16), "PNG", transparency=3),
        "alpha.png": _saved(alpha, "PNG"),
        "deep.png": _saved(deep, "PNG"),
        "baseline.jpg": _saved(image, "JPEG", exif=exif),
        "progressive.jpg": _saved(image, "JPEG", progressive=True),
        "grey.jpg": _saved(grey, "JPEG"),
        "cmyk.jpg": _saved(image.convert("CMYK"), "JPEG"),
        "rgb.bmp": _saved(image, "BMP"),
        "palette.bmp": _saved(image.quantize(16), "BMP"),
        "deep.tif": _saved(deep, "TIFF"),
        "lossy.webp": _saved(image, "WEBP", exif=exif),
        "lossless.webp": _saved(alpha, "WEBP", lossless=True),
    }
    for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        files[f"{name}.tif"] = _saved(image, "TIFF", compression=name)
    return files


def _dicom_sources() -> dict[str, bytes]:
    image, pixels = Image.fromarray(_pixels()), _pixels()
    return {
        "plain.dcm": _dicom(ExplicitVRLittleEndian),
        "deflated.dcm": _dicom(DeflatedExplicitVRLittleEndian),
        "rle.dcm": _dicom(RLELossless, _run_lengths(pixels)),
        "jpeg.dcm": _dicom(JPEGBaseline8Bit, _saved(image, "JPEG", subsampling=1), "YBR_FULL_422"),
        "jpeg2000.dcm": _dicom(JPEG2000, _saved(image, "JPEG2000", no_jp2=True, mct=1, irreversible=True), "YBR_ICT"),
        "jpeg2000-lossless.dcm": _dicom(JPEG2000Lossless, _saved(image, "JPEG2000", no_jp2=True, mct=1), "YBR_RCT"),
    }


def _dicom(syntax: UID, frame: bytes | None = None, photometric: str = "RGB") -> bytes:
    data = patient_dataset(_pixels())
    data.PhotometricInterpretation = photometric
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = syntax
    if frame is not None:
        data.PixelData = encapsulate([frame + b"\0" * (len(frame) % 2)])
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data, enforce_file_format=True)
    return buffer.getvalue()


def _run_lengths(pixels: NDArray[np.uint8]) -> bytes:
    """RLE of PS3.5, G: a segment for each colour, here of literal runs alone."""
    segments = []
    for colour in range(3):
        plane = pixels[..., colour].tobytes()
        runs = b"".join(
            bytes([len(part) - 1]) + part for part in (plane[at : at + 128] for at in range(0, len(plane), 128))
        )
        segments.append(runs + b"\0" * (len(runs) % 2))
    offsets = [64]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    return struct.pack("<16I", len(segments), *offsets, *([0] * 12)) + b"".join(segments)
