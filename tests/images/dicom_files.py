"""DICOM files of the Dermoscopic Photography class, full of patient data that must never be seen again."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

#: What a leak would show, in files written by `write_dicom`.
SECRETS = ("Meyer", "Anna", "PID-4711", "19510203", "20240607", "ACC-815", "Dr. Who", "1.2.826.0.1", "Ward 9", "mole")

DERMOSCOPIC_PHOTOGRAPHY = UID("1.2.840.10008.5.1.4.1.1.77.1.7")


def patient_dataset(pixels: NDArray[np.uint8], planar: int = 0) -> Dataset:
    """An 8-bit RGB picture (H, W, 3) with names, ids, dates and UIDs."""
    data = Dataset()
    data.SOPClassUID = DERMOSCOPIC_PHOTOGRAPHY
    data.SOPInstanceUID, data.StudyInstanceUID = UID("1.2.826.0.1.1"), UID("1.2.826.0.1.2")
    data.PatientName, data.PatientID, data.PatientBirthDate = "Meyer^Anna", "PID-4711", "19510203"
    data.StudyDate, data.AccessionNumber, data.ReferringPhysicianName = "20240607", "ACC-815", "Dr. Who"
    data.InstitutionName, data.ImageComments, data.SeriesDescription = "Ward 9", "mole drawn around", "mole"
    data.BurnedInAnnotation = "NO"
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", planar
    data.Rows, data.Columns = pixels.shape[:2]
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    raw = (pixels if planar == 0 else pixels.transpose(2, 0, 1)).tobytes()
    data.add_new("PixelData", "OB", raw + b"\0" * (len(raw) % 2))
    return data


def write_dicom(
    path: Path,
    pixels: NDArray[np.uint8],
    *,
    planar: int = 0,
    syntax: UID = ExplicitVRLittleEndian,
    sop_class: UID = DERMOSCOPIC_PHOTOGRAPHY,
    without: tuple[str, ...] = (),
    frames: Sequence[bytes] = (),
    fragments: int = 1,
    offset_table: bool = True,
    **changed: object,
) -> Path:
    """Write the picture with some attributes changed or left out; ``frames`` are compressed ones."""
    data = patient_dataset(pixels, planar)
    if frames:
        data.NumberOfFrames = len(frames)
        data.PixelData = encapsulate(list(frames), fragments_per_frame=fragments, has_bot=offset_table)
    for attribute, value in changed.items():
        setattr(data, attribute, value)
    for attribute in without:
        delattr(data, attribute)
    data.SOPClassUID = sop_class
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = sop_class
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = syntax
    data.save_as(path, enforce_file_format=True)
    return path


def write_grey(
    path: Path, samples: NDArray[np.uint8 | np.uint16], stored: int, interpretation: str = "MONOCHROME2", **more: object
) -> Path:
    """Write (H, W) samples, grey values or palette entries; other attributes as `write_dicom` takes them."""
    bits = 8 * samples.itemsize
    settings: dict[str, object] = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": interpretation,
        "BitsAllocated": bits,
        "BitsStored": stored,
        "HighBit": stored - 1,
        "PixelData": samples.tobytes() + b"\0" * (samples.nbytes % 2),
        "without": ("PlanarConfiguration",),
    }
    if "frames" in more:
        del settings["PixelData"]
    placeholder = np.zeros((*samples.shape, 3), dtype=np.uint8)
    return write_dicom(path, placeholder, **(settings | more))  # type: ignore[arg-type]


def palette(reds: bytes, greens: bytes, blues: bytes, count: int, first: int, bits: int) -> dict[str, object]:
    """Attributes of a palette."""
    names = ("Red", "Green", "Blue")
    descriptors = {f"{name}PaletteColorLookupTableDescriptor": [count, first, bits] for name in names}
    tables = {f"{n}PaletteColorLookupTableData": t for n, t in zip(names, (reds, greens, blues), strict=True)}
    return {**descriptors, **tables}


def run_length_encoded(path: Path) -> Path:
    """Compress an uncompressed file in place with pydicom's encoder."""
    data = dcmread(path)
    # Named, because an installed GDCM would be asked first, and aborts the process on a palette.
    data.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    data.save_as(path)
    return path


def coded(pixels: NDArray[np.uint8 | np.uint16], kind: str, **options: object) -> bytes:
    """A JPEG or JPEG 2000 stream by Pillow, of even length."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue() + b"\0" * (buffer.tell() % 2)


def element(tag: int, kind: bytes, value: bytes, length: int | None = None) -> bytes:
    """An explicit little-endian element; a length that is stated need not be that of the value."""
    size = len(value) if length is None else length
    long = kind in {b"OB", b"OW", b"UN", b"SQ", b"UT"}
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + kind
    return start + (b"\0\0" + struct.pack("<I", size) if long else struct.pack("<H", size)) + value


def item(value: bytes = b"", length: int | None = None) -> bytes:
    """An item of a sequence."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value) if length is None else length) + value


ITEM_END, SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0), struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def with_elements(path: Path, inserted: bytes) -> Path:
    """Put bytes in front of the first element of the data set, after the file meta information."""
    data = path.read_bytes()
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    path.write_bytes(data[:start] + inserted + data[start:])
    return path


def deflated(path: Path, pieces: Iterator[bytes] | Sequence[bytes]) -> Path:
    """Write a file whose deflated data set is these pieces, and nothing else."""
    tiny = write_dicom(path, np.zeros((2, 2, 3), dtype=np.uint8), syntax=DeflatedExplicitVRLittleEndian).read_bytes()
    start = 144 + struct.unpack_from("<I", tiny, 140)[0]
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    with path.open("wb") as stream:
        stream.write(tiny[:start])
        for piece in pieces:
            stream.write(squeeze.compress(piece))
        stream.write(squeeze.flush())
    return path
