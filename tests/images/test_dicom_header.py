"""What a file says about its picture is found, and what it must not say twice is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from skinaudit.images.dicom import read_dicom
from skinaudit.images.dicom_header import open_data_set, read_attributes
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused
from tests.images.dicom_files import DERMOSCOPIC_PHOTOGRAPHY, element, item, with_elements, write_dicom

Pixels = NDArray[np.uint8]
PIXELS: Pixels = np.random.default_rng(5).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def _refusal(path: Path) -> ImageRefused:
    with pytest.raises(ImageRefused) as caught:
        read_dicom(path, Reading())
    return caught.value


def _replaced(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


def test_only_what_decides_about_pixels_is_kept(tmp_path: Path) -> None:
    with write_dicom(tmp_path / "a.dcm", PIXELS).open("rb") as stream:
        syntax, reader = open_data_set(stream, 1000)
        found, pixels = read_attributes(reader)
    assert syntax.uid == ExplicitVRLittleEndian
    assert pixels.length == PIXELS.size
    assert found.numbers == {
        "SamplesPerPixel": 3,
        "PlanarConfiguration": 0,
        "Rows": 4,
        "Columns": 6,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
    }
    assert found.texts == {
        "SOPClassUID": DERMOSCOPIC_PHOTOGRAPHY,
        "PhotometricInterpretation": "RGB",
        "BurnedInAnnotation": "NO",
    }
    assert (found.palettes, found.segmented) == ({}, False)


@pytest.mark.parametrize(
    "attribute",
    [
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "PlanarConfiguration",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "PixelData",
    ],
)
def test_a_missing_attribute_is_named(tmp_path: Path, attribute: str) -> None:
    refusal = _refusal(write_dicom(tmp_path / "a.dcm", PIXELS, without=(attribute,)))
    assert (refusal.reason, refusal.refused) == (f"DICOM: {attribute} is missing", False)


def test_an_attribute_of_an_icon_inside_a_sequence_does_not_count(tmp_path: Path) -> None:
    icon = element(0x00280010, b"US", b"\1\0")
    for sequence in (
        element(0x00080096, b"SQ", item(icon)),
        element(0x00080096, b"SQ", item(icon) + b"\xfe\xff\xdd\xe0\0\0\0\0", 0xFFFFFFFF),
    ):
        path = with_elements(write_dicom(tmp_path / "a.dcm", PIXELS), sequence)
        np.testing.assert_array_equal(read_dicom(path, Reading()), PIXELS)


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        (element(0x00280010, b"US", b"\1\0"), "Rows"),
        (element(0x00280301, b"CS", b"NO"), "BurnedInAnnotation"),
    ],
)
def test_an_attribute_that_is_there_twice_is_refused(tmp_path: Path, extra: bytes, name: str) -> None:
    path = with_elements(write_dicom(tmp_path / "a.dcm", PIXELS), extra)
    assert _refusal(path).reason == f"DICOM: {name} is there twice"


@pytest.mark.parametrize("value", [b"", b"\1\0\2\0", b"\1"])
def test_a_number_has_two_bytes(tmp_path: Path, value: bytes) -> None:
    path = with_elements(write_dicom(tmp_path / "a.dcm", PIXELS, without=("Rows",)), element(0x00280010, b"US", value))
    assert _refusal(path).reason == "DICOM: Rows is no single number"


def test_a_text_that_is_too_long_or_open_ended_is_not_read(tmp_path: Path) -> None:
    for value, length in ((b"x" * 5000, None), (b"", 0xFFFFFFFF)):
        path = write_dicom(tmp_path / "a.dcm", PIXELS, without=("BurnedInAnnotation",))
        with_elements(path, element(0x00280301, b"UN", value, length))
        assert "longer than it can be" in _refusal(path).reason


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PIXELS, without=("PixelData",), FloatPixelData=b"\0" * 16)
    assert "floating-point" in _refusal(path).reason


def test_a_dicomdir_is_refused(tmp_path: Path) -> None:
    refusal = _refusal(write_dicom(tmp_path / "DICOMDIR", PIXELS, sop_class=MediaStorageDirectoryStorage))
    assert refusal.refused
    assert "lists other files" in refusal.reason


def test_the_data_set_cannot_be_of_another_class_than_the_meta_information_says(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PIXELS)
    data = path.read_bytes()
    place = data.rindex(DERMOSCOPIC_PHOTOGRAPHY.encode())
    path.write_bytes(data[:place] + b"1.2.840.10008.5.1.4.1.1.77.1.1" + data[place + 30 :])  # endoscopy
    assert "SOPClassUID" in _refusal(path).reason


def test_the_meta_information_must_say_what_follows(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PIXELS)
    sound = path.read_bytes()
    for tag, name in ((b"\x02\x00\x10\x00", "TransferSyntaxUID"), (b"\x02\x00\x02\x00", "MediaStorageSOPClassUID")):
        path.write_bytes(sound.replace(tag, b"\x02\x00\x99\x00", 1))
        assert _refusal(path).reason == f"DICOM: {name} is missing"
    path.write_bytes(sound.replace(b"\x02\x00\x12\x00", b"\x02\x00\x10\x00", 1))
    assert "twice" in _refusal(path).reason


def test_a_file_without_the_dicom_mark_is_not_forced(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PIXELS)
    path.write_bytes(path.read_bytes()[132:])
    assert not _refusal(path).refused
    path.write_bytes(b"")
    assert not _refusal(path).refused
