"""DICOM pictures as 8-bit RGB, by the rules of docs/pictures.md.

Patient data are seen here and in the ``dicom_*`` files beside it, and none of them leave: what is not wanted is passed
over unread, and no reason quotes what a file says.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from skinaudit.images.dicom_colour import (
    Samples,
    native_samples,
    palette_tables,
    rgb_of_colours,
    rgb_of_grey,
    rgb_of_palette,
)
from skinaudit.images.dicom_elements import Element, ElementReader
from skinaudit.images.dicom_frame import encapsulated_frame, native_frame
from skinaudit.images.dicom_header import open_data_set, read_attributes, starts_with_drawn
from skinaudit.images.dicom_jpeg import jpeg_samples
from skinaudit.images.dicom_jpeg2000 import jpeg2000_samples
from skinaudit.images.dicom_layout import Layout, layout_of
from skinaudit.images.dicom_plugins import check_plugin, plugin_samples
from skinaudit.images.dicom_rle import rle_samples
from skinaudit.images.dicom_syntaxes import Codec, Syntax
from skinaudit.images.reading import MAX_PIXELS, Reading
from skinaudit.images.refusal import ImageRefused, check_file_size
from skinaudit.images.regular import open_regular

T = TypeVar("T")


def read_dicom(path: Path, reading: Reading) -> NDArray[np.uint8]:
    """Read one frame of a DICOM file as 8-bit RGB.

    Sizes, depths and lengths are compared with each other and with the caps before any pixel is read, and those of a
    compressed stream before it is decoded.

    Args:
        path: the file.
        reading: most Rows x Columns, which frame, and whether burned-in text is allowed.

    Returns:
        (Rows, Columns, 3) uint8.

    Raises:
        ImageRefused: the reason names the attribute that decided, never what the file says.
    """
    return _anonymously(path, lambda stream: _read(stream, reading))


def declares_drawn(path: Path) -> bool:
    """Does the file say that a program drew it: ImageComments or SeriesDescription starting with "drawn"?

    Raises:
        ImageRefused: not a DICOM file of a kind that is read, or damaged.
    """
    return _anonymously(path, lambda stream: starts_with_drawn(open_data_set(stream, MAX_PIXELS)[1]))


def _anonymously(path: Path, work: Callable[[BinaryIO], T]) -> T:
    """Turn whatever is raised into a refusal without a cause, and hold back warnings: both may quote values."""
    try:
        with warnings.catch_warnings(), open_regular(path) as stream:
            warnings.simplefilter("ignore")
            return work(stream)
    except ImageRefused as error:
        refusal = ImageRefused(error.reason, error.status)
    except MemoryError:
        refusal = ImageRefused("DICOM: not enough memory to decode it", "unreadable")
    except Exception:  # noqa: BLE001 - a hostile file reaches any line of a parser; the run must go on
        refusal = ImageRefused("DICOM: the file cannot be parsed (truncated or damaged)", "unreadable")
    raise refusal  # outside of the handlers, where the new error gets neither cause nor context


def _read(stream: BinaryIO, reading: Reading) -> NDArray[np.uint8]:
    """(Rows, Columns, 3) uint8, RGB."""
    check_file_size(os.fstat(stream.fileno()).st_size, reading.max_pixels)
    syntax, reader = open_data_set(stream, reading.max_pixels)
    attributes, pixels = read_attributes(reader)
    layout = layout_of(attributes, syntax.codec, reading)
    check_plugin(syntax)
    samples, ybr = _samples(reader, pixels, layout, syntax)
    if layout.samples == 3:
        return rgb_of_colours(samples.astype(np.uint8, copy=False), ybr)
    if layout.interpretation == "PALETTE COLOR":
        return rgb_of_palette(samples, layout, palette_tables(attributes, layout, syntax.encoding.big_endian))
    return rgb_of_grey(samples, layout)


def _samples(reader: ElementReader, pixels: Element, layout: Layout, syntax: Syntax) -> tuple[Samples, bool]:
    """(rows, columns, samples) of the frame, and whether they are YBR_FULL still."""
    ybr = layout.interpretation in {"YBR_FULL", "YBR_FULL_422"}
    if syntax.codec is Codec.NATIVE:
        return native_samples(native_frame(reader, pixels, layout), layout, syntax.encoding.big_endian), ybr
    frame = encapsulated_frame(reader, pixels, layout)
    match syntax.codec:
        case Codec.RLE:
            return rle_samples(frame, layout), ybr
        case Codec.JPEG:
            return jpeg_samples(frame, layout), False
        case Codec.JPEG_2000:
            return jpeg2000_samples(frame, layout)
        case _:
            return plugin_samples(frame, layout, syntax), ybr
