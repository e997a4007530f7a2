"""DICOM pixels come out, whatever they are coded with; patient data do not."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    JPEG2000,
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
from tests.images.dicom_files import coded, element, run_length_encoded, with_elements, write_dicom, write_grey

Pixels = NDArray[np.uint8]
SMALL = Reading(max_pixels=10_000)


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (50, 41, 3), dtype=np.uint8)


@pytest.fixture
def smooth() -> Pixels:
    """Colours that lossy coding keeps nearly."""
    y, x = np.mgrid[:48, :40]
    return np.stack([x * 6, y * 5, 255 - x * 3 - y * 2], axis=-1).astype(np.uint8)


def _refusal(path: Path, reading: Reading = SMALL) -> ImageRefused:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageRefused) as caught:
            read_dicom(path, reading)
    return caught.value


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("planar", [0, 1])
def test_uncompressed_rgb_is_read_exactly(tmp_path: Path, pixels: Pixels, syntax: UID, planar: int) -> None:
    read = read_dicom(write_dicom(tmp_path / "a.dcm", pixels, syntax=syntax, planar=planar), SMALL)
    assert (read.dtype, read.flags.c_contiguous) == (np.uint8, True)
    np.testing.assert_array_equal(read, pixels)


def test_an_odd_number_of_bytes_with_its_pad_is_read(tmp_path: Path, pixels: Pixels) -> None:
    odd = pixels[:5, :3]
    np.testing.assert_array_equal(read_dicom(write_dicom(tmp_path / "a.dcm", odd), SMALL), odd)


@pytest.mark.parametrize("planar", [0, 1])
def test_run_lengths_of_pydicoms_encoder_are_read_exactly(tmp_path: Path, pixels: Pixels, planar: int) -> None:
    path = run_length_encoded(write_dicom(tmp_path / "a.dcm", pixels))
    data = dcmread(path)
    data.PlanarConfiguration = planar  # says nothing here: run lengths go colour by colour
    data.save_as(path)
    np.testing.assert_array_equal(read_dicom(path, SMALL), pixels)


def test_sixteen_bits_survive_run_lengths(tmp_path: Path) -> None:
    wide = np.random.default_rng(3).integers(0, 65536, (9, 7), dtype=np.uint16)
    plain = read_dicom(write_grey(tmp_path / "a.dcm", wide, 16), SMALL)
    np.testing.assert_array_equal(read_dicom(run_length_encoded(tmp_path / "a.dcm"), SMALL), plain)


def test_a_baseline_jpeg_is_near_the_picture_it_was_made_of(tmp_path: Path, smooth: Pixels) -> None:
    frame = coded(smooth, "JPEG", quality=95)
    path = write_dicom(
        tmp_path / "a.dcm", smooth, syntax=JPEGBaseline8Bit, frames=[frame], PhotometricInterpretation="YBR_FULL_422"
    )
    assert np.abs(read_dicom(path, SMALL).astype(int) - smooth).max() <= 12


@pytest.mark.parametrize(("interpretation", "transform"), [("YBR_RCT", 1), ("RGB", 0), ("YBR_RCT", 0), ("RGB", 1)])
def test_lossless_jpeg_2000_is_read_exactly(
    tmp_path: Path, pixels: Pixels, interpretation: str, transform: int
) -> None:
    frame = coded(pixels, "JPEG2000", no_jp2=True, mct=transform)
    path = write_dicom(
        tmp_path / "a.dcm", pixels, syntax=JPEG2000Lossless, frames=[frame], PhotometricInterpretation=interpretation
    )
    np.testing.assert_array_equal(read_dicom(path, SMALL), pixels)


def test_lossy_jpeg_2000_is_near_the_picture_it_was_made_of(tmp_path: Path, smooth: Pixels) -> None:
    frame = coded(smooth, "JPEG2000", no_jp2=True, mct=1, irreversible=True, quality_layers=[4])
    path = write_dicom(tmp_path / "a.dcm", smooth, syntax=JPEG2000, frames=[frame], PhotometricInterpretation="YBR_ICT")
    assert 0 < np.abs(read_dicom(path, SMALL).astype(int) - smooth).max() <= 12


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_small_odd_big_endian.dcm",
        "SC_rgb_rle.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+n1.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",
        "SC_rgb_jpeg_lossy_gdcm.dcm",
        "SC_rgb_gdcm_KY.dcm",
        "SC_jpeg_no_color_transform.dcm",
        "SC_jpeg_no_color_transform_2.dcm",
    ],
)
def test_files_of_other_programs_look_as_pydicom_shows_them(name: str) -> None:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip("this release of pydicom comes without its sample files")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what those files get wrong
        expected = pixel_array(dcmread(path))
    np.testing.assert_array_equal(read_dicom(Path(str(path)), Reading()), expected)


def test_burned_in_text_is_refused_unless_it_is_allowed(tmp_path: Path, pixels: Pixels) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels, BurnedInAnnotation="YES")
    assert "BurnedInAnnotation" in _refusal(path).reason
    np.testing.assert_array_equal(read_dicom(path, Reading(burned_in=True)), pixels)
    path = write_dicom(tmp_path / "b.dcm", pixels, without=("BurnedInAnnotation",))
    np.testing.assert_array_equal(read_dicom(path, SMALL), pixels)


def test_overlays_and_windows_change_no_pixel(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    plain = read_dicom(write_grey(tmp_path / "a.dcm", grey, 8), SMALL)
    path = write_grey(
        tmp_path / "b.dcm", grey, 8, WindowCenter="10", WindowWidth="5", RescaleSlope="2", RescaleIntercept="7"
    )
    overlay = [
        element(0x60000010, b"US", b"\x10\0"),
        element(0x60000011, b"US", b"\x10\0"),
        element(0x60000100, b"US", b"\1\0"),
        element(0x60003000, b"OW", b"\xff" * 32),
    ]
    np.testing.assert_array_equal(read_dicom(with_elements(path, b"".join(overlay)), SMALL), plain)


def test_pixels_of_undefined_length_are_refused_when_uncompressed(tmp_path: Path, pixels: Pixels) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels)
    data = path.read_bytes()
    start = data.index(b"\xe0\x7f\x10\x00OB\0\0") + 8
    path.write_bytes(data[:start] + b"\xff\xff\xff\xff" + data[start + 4 :] + b"\xfe\xff\xdd\xe0\0\0\0\0")
    assert "PixelData" in _refusal(path).reason


def test_a_link_to_a_file_is_not_followed(tmp_path: Path, pixels: Pixels) -> None:
    write_dicom(tmp_path / "a.dcm", pixels)
    (tmp_path / "b.dcm").symlink_to(tmp_path / "a.dcm")
    assert _refusal(tmp_path / "b.dcm").reason == "symbolic link"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_only_a_description_that_starts_with_drawn_marks_a_drawing(tmp_path: Path, pixels: Pixels, syntax: UID) -> None:
    def write(**changed: object) -> Path:
        return write_dicom(tmp_path / "a.dcm", pixels, syntax=syntax, **changed)  # type: ignore[arg-type]

    assert not declares_drawn(write())  # "mole drawn around"
    assert declares_drawn(write(SeriesDescription="DRAWN samples"))
    assert declares_drawn(write(ImageComments="Drawn by a computer program"))
    assert declares_drawn(write(ImageComments=" drawn " + "x" * 9000))
    assert not declares_drawn(write(ImageComments="drawnout"))
    assert not declares_drawn(write(without=("ImageComments", "SeriesDescription")))


def test_compressed_files_can_declare_themselves_drawn(tmp_path: Path, pixels: Pixels) -> None:
    frame = coded(pixels, "JPEG")
    for comment, drawn in (("drawn", True), ("a mole", False)):
        path = write_dicom(tmp_path / "a.dcm", pixels, syntax=JPEGBaseline8Bit, frames=[frame], ImageComments=comment)
        assert declares_drawn(path) is drawn
