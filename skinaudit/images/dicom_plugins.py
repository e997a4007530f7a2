"""Compressed pixels that need a decoder of the extra "dicom"; pydicom knows how to call it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array

from skinaudit.images.dicom_jpeg import JPEG_LS, LOSSLESS, jpeg_header
from skinaudit.images.dicom_layout import Layout
from skinaudit.images.dicom_syntaxes import Codec, Syntax
from skinaudit.images.refusal import ImageRefused

_MARKS = {Codec.JPEG_LOSSLESS: LOSSLESS, Codec.JPEG_LS: JPEG_LS}


def check_plugin(syntax: Syntax) -> None:
    """See whether the decoder that a transfer syntax needs is installed.

    Raises:
        ImageRefused: it is not; the reason says what to install.
    """
    if syntax.plugin is not None and syntax.plugin not in get_decoder(syntax.uid).available_plugins:
        raise ImageRefused(
            f"DICOM: the transfer syntax {syntax.uid.name} needs a decoder that is not installed; "
            "pip install 'skinaudit[dicom]'"
        )


def plugin_samples(frame: bytes, layout: Layout, syntax: Syntax) -> NDArray[np.uint8 | np.uint16]:
    """Decode lossless JPEG or JPEG-LS.

    Returns:
        (rows, columns, samples), uint8 or uint16, colours as they were compressed.

    Raises:
        ImageRefused: not what the layout says, truncated or damaged.
    """
    jpeg_header(frame, layout, (_MARKS[syntax.codec],))
    data = Dataset()  # what the decoder needs, and nothing else of the file
    data.Rows, data.Columns, data.SamplesPerPixel = layout.rows, layout.columns, layout.samples
    data.PhotometricInterpretation, data.PlanarConfiguration = layout.interpretation, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = layout.allocated, layout.stored, layout.stored - 1
    data.PixelRepresentation = 0
    data.PixelData = encapsulate([frame])
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax.uid
    try:
        samples = pixel_array(data, raw=True, decoding_plugin=syntax.plugin or "")
    except Exception:  # noqa: BLE001 - a hostile file reaches any line of a decoder; the run must go on
        raise ImageRefused("DICOM: the compressed pixels are truncated or damaged", "unreadable") from None
    return samples.reshape(layout.rows, layout.columns, layout.samples)
