"""Files made to hurt: nothing escapes but a refusal, nothing grows, and nothing of a patient is in what is raised."""

from __future__ import annotations

import logging
import pickle
import traceback
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)

from skinaudit.images.dicom import declares_drawn, read_dicom
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused
from tests.images.dicom_files import (
    ITEM_END,
    SEQUENCE_END,
    coded,
    deflated,
    element,
    item,
    run_length_encoded,
    with_elements,
    write_dicom,
)

Pixels = NDArray[np.uint8]
PICTURE: Pixels = np.random.default_rng(1).integers(0, 256, (20, 16, 3), dtype=np.uint8)
SMALL = Reading(max_pixels=10_000)
UNDEFINED = 0xFFFFFFFF
MEBIBYTE = 2**20


def _refusal(path: Path, read: Callable[[Path], object] = lambda path: read_dicom(path, SMALL)) -> ImageRefused:
    with pytest.raises(ImageRefused) as caught:
        read(path)
    return caught.value


@contextmanager
def _peak_below(most: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


# --- bombs -----------------------------------------------------------------------------------------------------------

HEADER_END = element(0x00280103, b"US", b"\0\0")


@pytest.mark.parametrize("read", [lambda path: read_dicom(path, SMALL), declares_drawn], ids=["read", "drawn"])
def test_a_deflated_bomb_in_a_private_element_costs_no_memory(tmp_path: Path, read: Callable[[Path], object]) -> None:
    zeros = bytes(MEBIBYTE)
    start = element(0x00090010, b"UN", b"", 2**31 - 2)
    path = deflated(tmp_path / "a.dcm", [start, *[zeros] * 80])
    assert path.stat().st_size < MEBIBYTE
    with _peak_below(4 * MEBIBYTE):
        assert _refusal(path, read).reason


def test_a_deflated_bomb_in_the_pixels_costs_no_memory(tmp_path: Path) -> None:
    tiny = write_dicom(tmp_path / "a.dcm", PICTURE, without=("PixelData",)).read_bytes()
    data_set = tiny[144 + int.from_bytes(tiny[140:144], "little") :]
    pixels = element(0x7FE00010, b"OW", b"", 2**31)
    path = deflated(tmp_path / "a.dcm", [data_set, pixels, *[bytes(MEBIBYTE)] * 100])
    with _peak_below(2 * MEBIBYTE):
        assert "length of PixelData" in _refusal(path).reason


def test_deflated_zeros_behind_the_pixels_are_not_inflated(tmp_path: Path) -> None:
    tiny = write_dicom(tmp_path / "a.dcm", PICTURE).read_bytes()
    data_set = tiny[144 + int.from_bytes(tiny[140:144], "little") :]
    path = deflated(tmp_path / "a.dcm", [data_set, *[bytes(MEBIBYTE)] * 300])
    with _peak_below(2 * MEBIBYTE):
        np.testing.assert_array_equal(read_dicom(path, SMALL), PICTURE)


def test_a_size_that_lies_costs_no_memory(tmp_path: Path) -> None:
    lies = {"Rows": 7000, "Columns": 7000}  # allowed by the cap
    paths = [
        write_dicom(tmp_path / "plain.dcm", PICTURE, **lies),  # type: ignore[arg-type]
        write_dicom(
            tmp_path / "jpeg.dcm",
            PICTURE,
            syntax=JPEGBaseline8Bit,
            frames=[coded(PICTURE, "JPEG")],
            **lies,  # type: ignore[arg-type]
        ),
        write_dicom(
            tmp_path / "j2k.dcm",
            PICTURE,
            syntax=JPEG2000Lossless,
            frames=[coded(PICTURE, "JPEG2000", no_jp2=True)],
            **lies,  # type: ignore[arg-type]
        ),
    ]
    with _peak_below(MEBIBYTE):
        for path in paths:
            assert not _refusal(path, lambda path: read_dicom(path, Reading())).refused


def test_a_file_longer_than_any_picture_is_not_opened_further(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PICTURE)
    with path.open("r+b") as stream:
        stream.truncate(65 * MEBIBYTE)
    assert "larger than a picture of 10000 pixels" in _refusal(path).reason


# --- structures ------------------------------------------------------------------------------------------------------


def _nested(path: Path, depth: int) -> Path:
    down, up = element(0x0040A730, b"SQ", item(b"", UNDEFINED), UNDEFINED), ITEM_END + SEQUENCE_END
    return with_elements(write_dicom(path, PICTURE), down * depth + up * depth)


def test_deep_sequences_are_passed_over(tmp_path: Path) -> None:
    path = _nested(tmp_path / "a.dcm", 10_000)
    np.testing.assert_array_equal(read_dicom(path, SMALL), PICTURE)
    assert not declares_drawn(path)


def test_sequences_a_hundred_thousand_deep_are_refused_by_count(tmp_path: Path) -> None:
    assert "data elements" in _refusal(_nested(tmp_path / "a.dcm", 100_000)).reason


def test_items_without_number_are_refused(tmp_path: Path) -> None:
    items = element(0x0040A730, b"SQ", item() * 200_001, UNDEFINED)
    path = with_elements(write_dicom(tmp_path / "a.dcm", PICTURE), items)
    assert "data elements" in _refusal(path).reason


@pytest.mark.parametrize("kind", [b"UN", b"OB", b"SQ", b"UT", b"XX"])
def test_lengths_that_lie_are_unreadable(tmp_path: Path, kind: bytes) -> None:
    for length in (2**31, 2**32 - 2, UNDEFINED):
        path = write_dicom(tmp_path / "a.dcm", PICTURE)
        with_elements(path, element(0x00090010, kind, b"", length if kind != b"XX" else 0xFFFE))
        with _peak_below(MEBIBYTE):
            assert not _refusal(path).refused


def test_fragments_of_no_bytes_are_counted(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PICTURE, syntax=JPEGBaseline8Bit, frames=[coded(PICTURE, "JPEG")])
    sound = path.read_bytes()
    path.write_bytes(sound[:-8] + item() * 200_001 + sound[-8:])
    assert "data elements" in _refusal(path).reason


# --- identifiers -----------------------------------------------------------------------------------------------------

#: Attributes that tell who a patient is, and wanted ones that a careless program or person filled with such text.
PLANTED = [
    "PatientName", "PatientID", "IssuerOfPatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName",
    "PatientMotherBirthName", "PatientAddress", "PatientTelephoneNumbers", "PatientComments", "MilitaryRank",
    "EthnicGroup", "Occupation", "AdditionalPatientHistory", "MedicalRecordLocator", "CountryOfResidence",
    "RegionOfResidence", "PatientReligiousPreference", "ReferringPhysicianName", "ReferringPhysicianAddress",
    "PerformingPhysicianName", "OperatorsName", "PhysiciansOfRecord", "RequestingPhysician", "InstitutionName",
    "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber", "AccessionNumber",
    "StudyID", "StudyDescription", "SeriesDescription", "ImageComments", "ProtocolName", "RequestedProcedureID",
    "PhotometricInterpretation", "BurnedInAnnotation", "NumberOfFrames", "LossyImageCompressionMethod",
]  # fmt: skip


def _secret(number: int) -> str:
    return f"KRAKE{number:02d}"


def _planted() -> dict[str, object]:
    assert len(PLANTED) == 40
    return {name: _secret(number) for number, name in enumerate(PLANTED) if dictionary_VR(name) != "IS"}


def _plant(path: Path, syntax: UID, sound: bool) -> Path:
    """A file with 40 identifiers; one that is sound, or one whose wanted attributes are identifiers, too."""
    attributes = _planted()
    if sound:
        for wanted in ("PhotometricInterpretation", "BurnedInAnnotation"):
            del attributes[wanted]
    frames = {"frames": [coded(PICTURE, "JPEG")]} if syntax == JPEGBaseline8Bit else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom, about values that are none
        write_dicom(path, PICTURE, syntax=syntax, **frames, **attributes)  # type: ignore[arg-type]
        if syntax != DeflatedExplicitVRLittleEndian and not sound:
            path.write_bytes(path.read_bytes().replace(b"1.2.826.0.1.1", _secret(38).encode().ljust(13, b"\0")))
    return path


def _leaks(text: str) -> bool:
    return "KRAKE" in text.upper()


def _check_refusal(error: ImageRefused) -> None:
    """Whatever a crash report, a log or another process would get to see."""
    assert (error.__cause__, error.__context__) == (None, None)
    printed = [str(error), repr(error), repr(error.args), repr(pickle.dumps(error))]
    printed += traceback.format_exception_only(error)
    assert not [text for text in printed if _leaks(text)]


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit]
)
def test_forty_identifiers_are_in_no_error_warning_or_log(
    tmp_path: Path, syntax: UID, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    read_dicom(_plant(tmp_path / "sound.dcm", syntax, sound=True), SMALL)
    path = _plant(tmp_path / "a.dcm", syntax, sound=False)
    whole, generator = path.read_bytes(), np.random.default_rng(3)
    assert syntax == DeflatedExplicitVRLittleEndian or whole.count(b"KRAKE") >= 38
    reasons = set()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for kept in [len(whole), *generator.integers(0, len(whole), 60)]:
            path.write_bytes(whole[:kept])
            for read in (lambda path: read_dicom(path, SMALL), declares_drawn):
                try:
                    read(path)
                except ImageRefused as error:
                    _check_refusal(error)
                    reasons.add(error.reason)
    assert len(reasons) >= 2
    assert not [warning for warning in warned if _leaks(str(warning.message))]
    assert not _leaks(caplog.text)
    assert not _leaks("".join(capfd.readouterr()))


@pytest.mark.parametrize(
    "attribute", ["SOPClassUID", "PhotometricInterpretation", "NumberOfFrames", "BurnedInAnnotation"]
)
def test_an_identifier_in_an_attribute_that_is_read_is_not_quoted(tmp_path: Path, attribute: str) -> None:
    tags = {"SOPClassUID": 0x00080016, "PhotometricInterpretation": 0x00280004, "NumberOfFrames": 0x00280008}
    for value in (b"KRAKE99", b"KRAKE\xff\xfe", b"KRAKE\\99", b"KRAKE99" * 50):
        path = write_dicom(tmp_path / "a.dcm", PICTURE, without=("PhotometricInterpretation",))
        data = path.read_bytes().replace(b"\x08\x00\x16\x00UI", b"\x08\x00\x17\x00UI")
        path.write_bytes(data)
        with_elements(path, element(tags.get(attribute, 0x00280301), b"LO", value + b" " * (len(value) % 2)))
        _check_refusal(_refusal(path))


# --- damage ----------------------------------------------------------------------------------------------------------


def _sound_files(folder: Path) -> list[Path]:
    return [
        write_dicom(folder / "plain.dcm", PICTURE),
        write_dicom(folder / "implicit.dcm", PICTURE, syntax=ImplicitVRLittleEndian),
        write_dicom(folder / "deflated.dcm", PICTURE, syntax=DeflatedExplicitVRLittleEndian),
        run_length_encoded(write_dicom(folder / "rle.dcm", PICTURE)),
        write_dicom(folder / "jpeg.dcm", PICTURE, syntax=JPEGBaseline8Bit, frames=[coded(PICTURE, "JPEG")]),
        write_dicom(
            folder / "j2k.dcm", PICTURE, syntax=JPEG2000Lossless, frames=[coded(PICTURE, "JPEG2000", no_jp2=True)]
        ),
    ]


def test_random_damage_ends_in_a_picture_or_a_refusal(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    outcomes: list[object] = []
    for path in _sound_files(tmp_path):
        sound = path.read_bytes()
        assert read_dicom(path, SMALL).shape == PICTURE.shape
        for _ in range(150):
            data = bytearray(sound)
            for place in generator.integers(128, len(sound), generator.integers(1, 5)):
                data[place] = generator.integers(256)
            path.write_bytes(data)
            try:
                outcomes.append(read_dicom(path, SMALL).dtype == np.uint8)
            except ImageRefused as error:
                outcomes.append(error.reason if error.__context__ is None else error)
    assert outcomes.count(True) > 100
    assert len(set(outcomes)) > 10
    assert not [outcome for outcome in outcomes if isinstance(outcome, ImageRefused)]


def test_a_file_torn_anywhere_is_unreadable(tmp_path: Path) -> None:
    for path in _sound_files(tmp_path):
        sound = path.read_bytes()
        for kept in np.linspace(1, len(sound) * 0.9, 40).astype(int):
            path.write_bytes(sound[:kept])
            refusal = _refusal(path)
            assert not refusal.refused, refusal.reason
