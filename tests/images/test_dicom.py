"""DICOM pixels come out, patient data does not."""

from __future__ import annotations

import traceback
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MediaStorageDirectoryStorage,
)

from skinaudit.images.dicom import declares_drawn, read_dicom
from skinaudit.images.refusal import ImageRefused
from tests.images.dicom_files import SECRETS, write_dicom

Pixels = NDArray[np.uint8]


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (50, 41, 3), dtype=np.uint8)


def _refusal(path: Path, max_pixels: int = 10_000) -> ImageRefused:
    """The refusal, after looking for patient data in everything that a crash report would print."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageRefused) as caught:
            read_dicom(path, max_pixels=max_pixels)
    printed = caught.value.reason + "".join(traceback.format_exception_only(caught.value))
    if caught.value.__cause__ is not None or not caught.value.__suppress_context__:
        printed += "".join(str(error) for error in (caught.value.__cause__, caught.value.__context__) if error)
    assert not [secret for secret in SECRETS if secret in printed]
    assert str(path.parent) not in printed
    return caught.value


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("planar", [0, 1])
def test_uncompressed_rgb_is_read_exactly(tmp_path: Path, pixels: Pixels, syntax: UID, planar: int) -> None:
    read = read_dicom(write_dicom(tmp_path / "a.dcm", pixels, syntax=syntax, planar=planar), max_pixels=10_000)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, pixels)


def test_an_odd_number_of_bytes_with_its_pad_is_read(tmp_path: Path, pixels: Pixels) -> None:
    odd = pixels[:5, :3]
    np.testing.assert_array_equal(read_dicom(write_dicom(tmp_path / "a.dcm", odd), max_pixels=100), odd)


def test_one_declared_frame_and_a_missing_annotation_flag_are_fine(tmp_path: Path, pixels: Pixels) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels, NumberOfFrames=1, without=("BurnedInAnnotation",))
    np.testing.assert_array_equal(read_dicom(path, max_pixels=10_000), pixels)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("BurnedInAnnotation", "YES"),
        ("SamplesPerPixel", 1),
        ("PhotometricInterpretation", "YBR_FULL"),
        ("PhotometricInterpretation", "MONOCHROME2"),
        ("BitsAllocated", 16),
        ("BitsStored", 7),
        ("HighBit", 6),
        ("PixelRepresentation", 1),
        ("PlanarConfiguration", 2),
        ("NumberOfFrames", 2),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    tmp_path: Path, pixels: Pixels, attribute: str, value: object
) -> None:
    refusal = _refusal(write_dicom(tmp_path / "a.dcm", pixels, **{attribute: value}))
    assert refusal.refused
    assert attribute in refusal.reason


def test_text_in_an_attribute_is_not_quoted(tmp_path: Path, pixels: Pixels) -> None:
    refusal = _refusal(write_dicom(tmp_path / "a.dcm", pixels, PhotometricInterpretation="MEYER ANNA"))
    assert "MEYER" not in refusal.reason


@pytest.mark.parametrize(
    "attribute", ["SamplesPerPixel", "PlanarConfiguration", "Rows", "Columns", "BitsStored", "PixelData"]
)
def test_a_missing_attribute_is_named(tmp_path: Path, pixels: Pixels, attribute: str) -> None:
    refusal = _refusal(write_dicom(tmp_path / "a.dcm", pixels, without=(attribute,)))
    assert (attribute in refusal.reason, refusal.refused) == (True, False)


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_other_uncompressed_syntaxes_are_refused(tmp_path: Path, pixels: Pixels, syntax: UID) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels)
    data = path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", syntax.encode().ljust(20, b"\0")[:20])
    assert syntax.encode()[:20] in data
    path.write_bytes(data)
    assert "TransferSyntaxUID" in _refusal(path).reason


def test_compressed_pixels_are_refused_by_the_meta_header_alone(tmp_path: Path, pixels: Pixels) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels, without=("PixelData",), syntax=JPEGBaseline8Bit)
    assert "TransferSyntaxUID" in _refusal(path).reason


def test_a_deflated_bomb_is_never_inflated(tmp_path: Path, pixels: Pixels) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels, syntax=DeflatedExplicitVRLittleEndian)
    with path.open("ab") as stream:
        stream.write(zlib.compress(bytes(50_000_000)))
    assert "TransferSyntaxUID" in _refusal(path).reason


def test_a_dicomdir_is_refused(tmp_path: Path, pixels: Pixels) -> None:
    path = write_dicom(tmp_path / "DICOMDIR", pixels, sop_class=MediaStorageDirectoryStorage)
    refusal = _refusal(path)
    assert refusal.refused
    assert "lists other files" in refusal.reason


def test_the_declared_size_is_capped_before_decoding(tmp_path: Path, pixels: Pixels) -> None:
    assert "60000 x 60000" in _refusal(write_dicom(tmp_path / "a.dcm", pixels, Rows=60000, Columns=60000)).reason
    assert _refusal(write_dicom(tmp_path / "b.dcm", pixels), max_pixels=50 * 41 - 1).refused
    assert not _refusal(write_dicom(tmp_path / "c.dcm", pixels, Rows=0)).refused


def test_lengths_that_disagree_are_unreadable(tmp_path: Path, pixels: Pixels) -> None:
    assert "length of PixelData" in _refusal(write_dicom(tmp_path / "a.dcm", pixels, Rows=49)).reason
    assert "length of PixelData" in _refusal(write_dicom(tmp_path / "b.dcm", pixels, Rows=51)).reason


def test_truncated_pixels_are_found_without_reading_them(tmp_path: Path, pixels: Pixels) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels)
    path.write_bytes(path.read_bytes()[:-1000])
    refusal = _refusal(path)
    assert (refusal.reason, refusal.refused) == ("DICOM: PixelData is truncated", False)


def test_pixels_of_undefined_length_are_refused(tmp_path: Path, pixels: Pixels) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels)
    data = path.read_bytes()
    start = data.index(b"\xe0\x7f\x10\x00OB\0\0") + 8
    path.write_bytes(data[:start] + b"\xff\xff\xff\xff" + data[start + 4 :] + b"\xfe\xff\xdd\xe0\0\0\0\0")
    assert "PixelData" in _refusal(path).reason


@pytest.mark.parametrize("kept", [10, 132, 140, 200, 400, 600])
def test_a_file_torn_anywhere_is_unreadable(tmp_path: Path, pixels: Pixels, kept: int) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels)
    path.write_bytes(path.read_bytes()[:kept])
    assert not _refusal(path).refused


def test_a_file_without_the_dicom_mark_is_not_forced(tmp_path: Path, pixels: Pixels) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels)
    path.write_bytes(path.read_bytes()[132:])
    assert not _refusal(path).refused


def test_random_damage_in_the_header_never_escapes_as_another_error(tmp_path: Path, pixels: Pixels) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels)
    sound, generator = path.read_bytes(), np.random.default_rng(2)
    outcomes: set[str] = set()
    for _ in range(200):
        data = bytearray(sound)
        for position in generator.integers(132, len(sound) - pixels.size, 4):
            data[position] = generator.integers(256)
        path.write_bytes(data)
        try:
            outcomes.add(str(read_dicom(path, max_pixels=10_000).shape))
        except ImageRefused as refusal:
            outcomes.add(refusal.reason)
    assert len(outcomes) > 3
    assert not [secret for secret in SECRETS if secret in str(outcomes)]


def test_only_a_description_that_starts_with_drawn_marks_a_drawing(tmp_path: Path, pixels: Pixels) -> None:
    assert not declares_drawn(write_dicom(tmp_path / "a.dcm", pixels))  # "mole drawn around"
    assert declares_drawn(write_dicom(tmp_path / "b.dcm", pixels, SeriesDescription="DRAWN samples"))
    assert declares_drawn(write_dicom(tmp_path / "c.dcm", pixels, ImageComments="Drawn by a computer program"))
    assert not declares_drawn(write_dicom(tmp_path / "d.dcm", pixels, without=("ImageComments", "SeriesDescription")))
