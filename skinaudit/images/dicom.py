"""Dermoscopy DICOM as 8-bit RGB. The only file that sees patient data, and none of it leaves."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MediaStorageDirectoryStorage

from skinaudit.images.refusal import ImageRefused, check_file_size, check_size

_UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)

#: Values larger than this stay on disk until they are asked for; only pixel data is.
_DEFER = 4096

_UNDEFINED_LENGTH = 0xFFFFFFFF

#: What is parsed at all. Names, ids, dates and private elements are skipped, so they never become values here.
_WANTED = [
    "BurnedInAnnotation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
]

#: Attribute, value that is supported. A reason names the attribute and what is supported, never what the file says.
_REQUIRED: tuple[tuple[str, object], ...] = (
    ("SamplesPerPixel", 3),
    ("PhotometricInterpretation", "RGB"),
    ("BitsAllocated", 8),
    ("BitsStored", 8),
    ("HighBit", 7),
    ("PixelRepresentation", 0),
)


def read_dicom(path: Path, *, max_pixels: int) -> NDArray[np.uint8]:
    """Read an uncompressed, single-frame, 8-bit RGB DICOM file (PS3.3 C.7.6.3, PS3.5 A.1 and A.2).

    Size, pixel length and file length are compared before any pixel is read.

    Args:
        path: the file.
        max_pixels: most Rows x Columns.

    Returns:
        (Rows, Columns, 3) uint8, RGB, whatever the planar configuration.

    Raises:
        ImageRefused: the reason names the DICOM attribute that decided, never a patient's value.
    """
    with _quiet_pydicom():
        check_file_size(path.stat().st_size, max_pixels)
        _check_transfer_syntax(path)
        dataset = dcmread(path, force=False, defer_size=_DEFER, specific_tags=_WANTED)
        _check_attributes(dataset)
        rows, columns = _whole_number(dataset, "Rows"), _whole_number(dataset, "Columns")
        check_size(columns, rows, max_pixels)
        _check_pixel_length(dataset, rows * columns * 3, path.stat().st_size)
        pixels = pixel_array(dataset, raw=True)
    return np.ascontiguousarray(pixels, dtype=np.uint8).reshape(rows, columns, 3)


def declares_drawn(path: Path) -> bool:
    """Does the file say that a program drew it: ImageComments or SeriesDescription starting with "drawn"?

    Only the start counts: a clinician's comment may well speak of a line that was drawn on the skin.

    Raises:
        ImageRefused: not a DICOM file that can be parsed.
    """
    texts = ["ImageComments", "SeriesDescription"]
    with _quiet_pydicom():
        _check_transfer_syntax(path)
        dataset = dcmread(path, force=False, stop_before_pixels=True, defer_size=_DEFER, specific_tags=texts)
        return any(re.match(r"\s*drawn\b", str(dataset.get(text, "")), re.IGNORECASE) for text in texts)


@contextmanager
def _quiet_pydicom() -> Iterator[None]:
    """Turn whatever pydicom raises into a refusal, and hold back its warnings: both quote values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except ImageRefused:
            raise
        except MemoryError:
            raise ImageRefused("DICOM: not enough memory to decode it", "unreadable") from None
        except Exception:  # noqa: BLE001 - a hostile file reaches any line of a parser; the run must go on
            # ``from None``: a traceback with the original message could print a patient's value.
            raise ImageRefused("DICOM: the file cannot be parsed (truncated or damaged)", "unreadable") from None


def _check_transfer_syntax(path: Path) -> None:
    """Look at the meta header alone: parsing a deflated data set would inflate all of it, unbounded."""
    meta = read_file_meta_info(path)
    if meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        raise ImageRefused("DICOM: a DICOMDIR lists other files and holds no picture")
    if "TransferSyntaxUID" not in meta:
        raise ImageRefused("DICOM: TransferSyntaxUID is missing", "unreadable")
    if meta.TransferSyntaxUID not in _UNCOMPRESSED:
        raise ImageRefused("DICOM: TransferSyntaxUID is not supported; only uncompressed little endian is read")


def _check_attributes(dataset: Dataset) -> None:
    """Refuse what is not one 8-bit RGB frame free of burned-in text."""
    if str(dataset.get("BurnedInAnnotation", "")).strip().upper() == "YES":
        raise ImageRefused("DICOM: BurnedInAnnotation is YES, so the pixels may identify a patient")
    for attribute, supported in _REQUIRED:
        if attribute not in dataset:
            raise ImageRefused(f"DICOM: {attribute} is missing", "unreadable")
        if dataset[attribute].value != supported:
            raise ImageRefused(f"DICOM: {attribute} is not supported; it must be {supported}")
    if "PlanarConfiguration" not in dataset:
        raise ImageRefused("DICOM: PlanarConfiguration is missing", "unreadable")
    if dataset.PlanarConfiguration not in {0, 1}:
        raise ImageRefused("DICOM: PlanarConfiguration is not supported; it must be 0 or 1")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise ImageRefused("DICOM: NumberOfFrames is not supported; it must be 1")


def _whole_number(dataset: Dataset, attribute: str) -> int:
    """An attribute with one unsigned integer."""
    value = dataset.get(attribute)
    if not isinstance(value, int):
        raise ImageRefused(f"DICOM: {attribute} is missing or no single number", "unreadable")
    return value


def _check_pixel_length(dataset: Dataset, expected: int, file_size: int) -> None:
    """Declared pixels, length of PixelData and length of the file must agree (a pad byte makes lengths even)."""
    if "PixelData" not in dataset:
        raise ImageRefused("DICOM: PixelData is missing", "unreadable")
    element = dataset.get_item("PixelData", keep_deferred=True)
    length = getattr(element, "length", _UNDEFINED_LENGTH)
    start = getattr(element, "value_tell", None)
    if length == _UNDEFINED_LENGTH or start is None:
        raise ImageRefused("DICOM: PixelData of undefined length is not supported")
    if length != expected + expected % 2:
        raise ImageRefused("DICOM: length of PixelData does not match Rows, Columns and SamplesPerPixel", "unreadable")
    if start + length > file_size:
        raise ImageRefused("DICOM: PixelData is truncated", "unreadable")
