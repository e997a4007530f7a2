"""Which DICOM files are pictures for us: storage classes, and transfer syntaxes with who decodes each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pydicom import uid
from pydicom.config import IGNORE

from skinaudit.images.dicom_elements import EXPLICIT, Encoding
from skinaudit.images.refusal import ImageRefused


class Codec(Enum):
    """How the pixels of a frame are written."""

    NATIVE = "uncompressed"
    RLE = "run lengths"
    JPEG = "JPEG with 8 bits a sample"
    JPEG_2000 = "JPEG 2000"
    JPEG_LOSSLESS = "lossless JPEG"
    JPEG_LS = "JPEG-LS"


@dataclass(frozen=True)
class Syntax:
    """One transfer syntax.

    Attributes:
        uid: its unique identifier.
        codec: how pixels are written.
        encoding: how data elements are written.
        deflated: the data set is a deflate stream.
        plugin: pydicom's name of the decoder that an extra installs; None where none is needed.
    """

    uid: uid.UID
    codec: Codec
    encoding: Encoding = EXPLICIT
    deflated: bool = False
    plugin: str | None = None


_READ = (
    Syntax(uid.ImplicitVRLittleEndian, Codec.NATIVE, Encoding(implicit=True)),
    Syntax(uid.ExplicitVRLittleEndian, Codec.NATIVE),
    Syntax(uid.ExplicitVRBigEndian, Codec.NATIVE, Encoding(big_endian=True)),
    Syntax(uid.DeflatedExplicitVRLittleEndian, Codec.NATIVE, deflated=True),
    Syntax(uid.RLELossless, Codec.RLE),
    Syntax(uid.JPEGBaseline8Bit, Codec.JPEG),
    Syntax(uid.JPEGExtended12Bit, Codec.JPEG),
    Syntax(uid.JPEG2000Lossless, Codec.JPEG_2000),
    Syntax(uid.JPEG2000, Codec.JPEG_2000),
    Syntax(uid.HTJ2KLossless, Codec.JPEG_2000),
    Syntax(uid.HTJ2KLosslessRPCL, Codec.JPEG_2000),
    Syntax(uid.HTJ2K, Codec.JPEG_2000),
    # With the extra "dicom". pydicom would also take pylibjpeg-libjpeg, which is under the GPL; it is never asked.
    Syntax(uid.JPEGLossless, Codec.JPEG_LOSSLESS, plugin="gdcm"),
    Syntax(uid.JPEGLosslessSV1, Codec.JPEG_LOSSLESS, plugin="gdcm"),
    Syntax(uid.JPEGLSLossless, Codec.JPEG_LS, plugin="pyjpegls"),
    Syntax(uid.JPEGLSNearLossless, Codec.JPEG_LS, plugin="pyjpegls"),
)

_SYNTAXES = {str(syntax.uid): syntax for syntax in _READ}

#: Photographs of skin, and pictures that came from elsewhere (PS3.4, B.5).
_STORAGE_CLASSES = {
    str(known)
    for known in (
        uid.VLPhotographicImageStorage,
        uid.DermoscopicPhotographyImageStorage,
        uid.SecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    )
}


def syntax_of(transfer_syntax: str) -> Syntax:
    """The transfer syntax with this identifier.

    Raises:
        ImageRefused: it is not one that is read. Standard ones are named by their standard name, others not at all.
    """
    if transfer_syntax in _SYNTAXES:
        return _SYNTAXES[transfer_syntax]
    known = uid.UID(transfer_syntax, IGNORE)  # else pydicom warns, and quotes it
    if known.type == "Transfer Syntax":
        raise ImageRefused(
            f"DICOM: the transfer syntax {known.name} is not supported; convert it to an uncompressed one"
        )
    raise ImageRefused("DICOM: TransferSyntaxUID is none of the standard's")


def check_storage_class(storage_class: str) -> None:
    """Take photographs only.

    Raises:
        ImageRefused: a directory, or an object of a class that holds no photograph of skin.
    """
    if storage_class == uid.MediaStorageDirectoryStorage:
        raise ImageRefused("DICOM: a DICOMDIR lists other files and holds no picture")
    if storage_class not in _STORAGE_CLASSES:
        raise ImageRefused(
            "DICOM: SOPClassUID is not a class of photographs (VL Photographic, Dermoscopic Photography, "
            "Secondary Capture)"
        )
