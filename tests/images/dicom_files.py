"""DICOM files of the Dermoscopic Photography class, full of patient data that must never be seen again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

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
    **changed: object,
) -> Path:
    """Write the picture with some attributes changed or left out."""
    data = patient_dataset(pixels, planar)
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
