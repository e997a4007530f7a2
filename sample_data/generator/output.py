"""Writing drawn pictures as JPEG or DICOM files with reproducible bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

DERMOSCOPIC_PHOTOGRAPHY = UID("1.2.840.10008.5.1.4.1.1.77.1.7")
_FIXED_DATE, _FIXED_TIME = "20000101", "120000"

Pixels = NDArray[np.uint8]


def squash(pixels: Pixels, side: int) -> Pixels:
    """Resize to a square, giving up the aspect ratio as classifier pipelines do."""
    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image, dtype=np.uint8)


def write_jpeg(path: Path, pixels: Pixels, quality: int) -> None:
    """Save as baseline JPEG without metadata."""
    Image.fromarray(pixels).save(path, "JPEG", quality=quality, subsampling="4:2:0", optimize=True)


def fixed_uid(*words: str) -> UID:
    """A UID that depends on the given words only."""
    digest = hashlib.sha256("/".join(["skinaudit drawn sample", *words]).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def write_dicom(path: Path, pixels: Pixels) -> None:
    """Save as uncompressed RGB DICOM of the Dermoscopic Photography class with fictional patient fields."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = DERMOSCOPIC_PHOTOGRAPHY
    meta.MediaStorageSOPInstanceUID = fixed_uid(path.stem, "instance")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = fixed_uid("implementation")
    meta.ImplementationVersionName = "DRAWN_SAMPLE"
    data = Dataset()
    data.file_meta = meta
    _describe(data, path.stem)
    _embed(data, pixels)
    data.save_as(path, enforce_file_format=True)


def _describe(data: Dataset, name: str) -> None:
    """Patient, study and equipment fields; all of them are made up."""
    data.SOPClassUID = DERMOSCOPIC_PHOTOGRAPHY
    data.SOPInstanceUID = fixed_uid(name, "instance")
    data.StudyInstanceUID = fixed_uid(name, "study")
    data.SeriesInstanceUID = fixed_uid(name, "series")
    data.PatientName = "DRAWN^SAMPLE"
    data.PatientID = f"FICTIONAL-{name.upper()}"
    data.PatientBirthDate = "19000101"
    data.PatientSex = "O"
    data.StudyID = "DRAWN"
    data.SeriesNumber, data.InstanceNumber = 1, 1
    data.StudyDate = data.SeriesDate = data.ContentDate = _FIXED_DATE
    data.StudyTime = data.SeriesTime = data.ContentTime = _FIXED_TIME
    data.AcquisitionDateTime = _FIXED_DATE + _FIXED_TIME
    data.AccessionNumber = data.ReferringPhysicianName = ""
    data.Modality = "DMS"
    data.Manufacturer = "skinaudit sample generator"
    data.ImageType = ["DERIVED", "PRIMARY"]
    data.ImageComments = "Drawn by a computer program; not a photograph of a patient"
    data.BurnedInAnnotation = "NO"
    data.LossyImageCompression = "00"


def _embed(data: Dataset, pixels: Pixels) -> None:
    """Pixel module: interleaved 8-bit RGB."""
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.Rows, data.Columns = pixels.shape[0], pixels.shape[1]
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    raw = pixels.tobytes()
    data.add_new("PixelData", "OB", raw + b"\x00" * (len(raw) % 2))
