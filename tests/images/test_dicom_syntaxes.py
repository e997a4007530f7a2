"""Which classes and transfer syntaxes are read, and how others are refused."""

from __future__ import annotations

import pytest
from pydicom import uid

from skinaudit.images.dicom_syntaxes import check_storage_class, syntax_of
from skinaudit.images.refusal import ImageRefused


@pytest.mark.parametrize(
    "known",
    [uid.MPEG4HP41, uid.JPEG2000MC, uid.UID("1.2.840.10008.1.2.4.55"), uid.UID("1.2.840.10008.1.2.4.94")],
)
def test_a_standard_syntax_that_is_not_read_is_named(known: uid.UID) -> None:
    with pytest.raises(ImageRefused) as caught:
        syntax_of(known)
    assert known.name in caught.value.reason
    assert known not in caught.value.reason


@pytest.mark.parametrize("unknown", ["1.2.826.0.1.3680043.1", "Meyer^Anna", "", uid.VLPhotographicImageStorage])
def test_anything_else_is_not_quoted(unknown: str) -> None:
    with pytest.raises(ImageRefused) as caught:
        syntax_of(unknown)
    assert caught.value.reason == "DICOM: TransferSyntaxUID is none of the standard's"


def test_every_syntax_that_needs_an_extra_names_its_decoder() -> None:
    assert syntax_of(uid.JPEGLosslessSV1).plugin == "gdcm"
    assert syntax_of(uid.JPEGLSLossless).plugin == "pyjpegls"
    assert all(syntax_of(one).plugin is None for one in (uid.RLELossless, uid.JPEGBaseline8Bit, uid.HTJ2K))


@pytest.mark.parametrize(
    "name",
    [
        "VL Photographic Image",
        "Dermoscopic Photography Image",
        "Secondary Capture Image",
        "Multi-frame True Color Secondary Capture Image",
    ],
)
def test_photographs_are_taken(name: str) -> None:
    check_storage_class(_class(name))


@pytest.mark.parametrize(
    "name",
    [
        "CT Image",
        "VL Endoscopic Image",
        "VL Whole Slide Microscopy Image",
        "Encapsulated PDF",
        "Video Photographic Image",
        "Multi-frame Single Bit Secondary Capture Image",
    ],
)
def test_other_objects_are_not(name: str) -> None:
    with pytest.raises(ImageRefused, match="not a class of photographs"):
        check_storage_class(_class(name))


def _class(name: str) -> str:
    """The identifier of a storage class, found by its name."""
    found = [key for key, entry in uid.UID_dictionary.items() if entry[0] == f"{name} Storage"]
    assert len(found) == 1
    return found[0]
