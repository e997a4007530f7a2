"""Attributes are held against each other, the caps and the user's choices before a pixel is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skinaudit.images.dicom import read_dicom
from skinaudit.images.dicom_header import Attributes
from skinaudit.images.dicom_layout import Layout, layout_of
from skinaudit.images.dicom_syntaxes import Codec
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused
from tests.images.dicom_files import write_dicom

NUMBERS = {
    "SamplesPerPixel": 3,
    "PlanarConfiguration": 0,
    "Rows": 40,
    "Columns": 50,
    "BitsAllocated": 8,
    "BitsStored": 8,
    "HighBit": 7,
    "PixelRepresentation": 0,
}


def _layout(codec: Codec = Codec.NATIVE, reading: Reading = Reading(2000), **changed: int | str) -> Layout:
    numbers = NUMBERS | {name: value for name, value in changed.items() if isinstance(value, int)}
    texts = {"PhotometricInterpretation": "RGB"} | {n: v for n, v in changed.items() if isinstance(v, str)}
    return layout_of(Attributes(numbers, texts), codec, reading)


def test_a_sound_header_gives_its_layout() -> None:
    assert _layout() == Layout(40, 50, 3, "RGB", planes=False, allocated=8, stored=8, frames=1, frame=0)
    assert _layout(PlanarConfiguration=1).planes
    assert _layout().frame_bytes == 6000
    assert _layout(PhotometricInterpretation="YBR_FULL_422").frame_bytes == 4000


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("BurnedInAnnotation", "YES"),
        ("BurnedInAnnotation", "yes"),
        ("BurnedInAnnotation", "TRUE"),
        ("BurnedInAnnotation", "NO\\YES"),
        ("BurnedInAnnotation", "YES\n"),
        ("SamplesPerPixel", 1),
        ("SamplesPerPixel", 4),
        ("PhotometricInterpretation", "YBR_PARTIAL_422"),
        ("PhotometricInterpretation", "CMYK"),
        ("PhotometricInterpretation", "YBR_ICT"),
        ("BitsAllocated", 16),
        ("BitsStored", 7),
        ("HighBit", 6),
        ("PixelRepresentation", 1),
        ("PlanarConfiguration", 2),
        ("NumberOfFrames", "10001"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(attribute: str, value: int | str) -> None:
    with pytest.raises(ImageRefused, match=attribute) as caught:
        _layout(**{attribute: value})
    assert caught.value.refused
    assert str(value) not in caught.value.reason.replace("is YES", "").replace("must be 1 with", "")


@pytest.mark.parametrize(
    ("allocated", "stored", "sound"),
    [
        (8, 8, True),
        (8, 1, True),
        (16, 12, True),
        (16, 16, True),
        (8, 0, False),
        (8, 9, False),
        (32, 32, False),
        (1, 1, False),
    ],
)
def test_grey_may_have_up_to_sixteen_bits(allocated: int, stored: int, sound: bool) -> None:
    def layout() -> Layout:
        return _layout(
            SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2",
            BitsAllocated=allocated,
            BitsStored=stored,
            HighBit=stored - 1,
        )

    if sound:
        assert (layout().allocated, layout().stored) == (allocated, stored)
    else:
        with pytest.raises(ImageRefused, match="Bits"):
            layout()


@pytest.mark.parametrize(
    ("codec", "interpretation", "sound"),
    [
        (Codec.RLE, "YBR_FULL_422", False),
        (Codec.JPEG, "YBR_FULL_422", True),
        (Codec.JPEG, "PALETTE COLOR", False),
        (Codec.JPEG_2000, "YBR_RCT", True),
        (Codec.JPEG_2000, "YBR_FULL_422", False),
        (Codec.JPEG_LS, "YBR_ICT", False),
    ],
)
def test_each_way_of_writing_pixels_has_its_interpretations(codec: Codec, interpretation: str, sound: bool) -> None:
    samples = 1 if interpretation == "PALETTE COLOR" else 3
    if sound:
        assert _layout(codec, PhotometricInterpretation=interpretation, SamplesPerPixel=samples).samples == samples
    else:
        with pytest.raises(ImageRefused, match=f"with {codec.value} it must be RGB, YBR_FULL"):
            _layout(codec, PhotometricInterpretation=interpretation, SamplesPerPixel=samples)


def test_planes_matter_to_uncompressed_colours_alone() -> None:
    assert not _layout(Codec.RLE, PlanarConfiguration=1).planes
    assert not _layout(Codec.JPEG, PlanarConfiguration=9).planes
    with pytest.raises(ImageRefused, match="PlanarConfiguration"):
        _layout(PhotometricInterpretation="YBR_FULL_422", PlanarConfiguration=1)


def test_pairs_of_pixels_need_an_even_width() -> None:
    with pytest.raises(ImageRefused, match="Columns must be even"):
        _layout(PhotometricInterpretation="YBR_FULL_422", Columns=49)


def test_the_declared_size_is_capped() -> None:
    with pytest.raises(ImageRefused, match="50 x 40 pixels are more than the 1999"):
        _layout(reading=Reading(1999))
    with pytest.raises(ImageRefused, match="60000 x 60000"):
        _layout(Rows=60000, Columns=60000)
    with pytest.raises(ImageRefused) as caught:
        _layout(Rows=0)
    assert not caught.value.refused


@pytest.mark.parametrize("text", ["NaN", "inf", "-1", "0", "1.0", "1e3", "2\\3", "0x1", "9" * 12, "²"])
def test_frames_are_a_positive_number(text: str) -> None:
    with pytest.raises(ImageRefused, match="NumberOfFrames"):
        _layout(NumberOfFrames=text)


def test_one_of_several_frames_must_be_named() -> None:
    with pytest.raises(ImageRefused, match="several frames"):
        _layout(NumberOfFrames="3")
    assert _layout(NumberOfFrames="3", reading=Reading(2000, frame=3)).frame == 2
    assert _layout(NumberOfFrames="+3", reading=Reading(2000, frame=1)).frame == 0
    for wanted in (0, 4, -1):
        with pytest.raises(ImageRefused, match=f"no frame {wanted}"):
            _layout(NumberOfFrames="3", reading=Reading(2000, frame=wanted))


def test_the_one_frame_of_a_photograph_is_taken_whichever_frame_of_others_is_meant() -> None:
    assert _layout(reading=Reading(2000, frame=1)).frame == 0
    assert _layout(reading=Reading(2000, frame=2)).frame == 0
    assert _layout(NumberOfFrames="").frames == 1


def test_burned_in_text_may_be_allowed() -> None:
    assert _layout(BurnedInAnnotation="YES", reading=Reading(2000, burned_in=True)).rows == 40


def test_text_in_an_attribute_is_not_quoted(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    with pytest.raises(ImageRefused) as caught:
        read_dicom(write_dicom(tmp_path / "a.dcm", pixels, PhotometricInterpretation="MEYER ANNA"), Reading())
    assert "MEYER" not in caught.value.reason
