"""The content of a file decides who decodes it; what cannot be decoded gets a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from skinaudit.images.decode import FORMATS, decode, format_of
from skinaudit.images.reading import Reading
from tests.images.decoding import Pixels, pixels_of, refusal
from tests.images.dicom_files import write_dicom
from tests.images.png_files import png
from tests.images.tiff_files import tiff

#: The same size in every format, with no pixel behind the header: a decoder that went on would call it truncated.
HEADERS = {
    "PNG": lambda side: png(side, side, 8, 2, b""),
    "TIFF": lambda side: tiff(np.zeros((1, 1, 3), np.uint8), changed={256: (side,), 257: (side,)}),
    "BMP": lambda side: b"BM" + bytes(8) + (54).to_bytes(4, "little") + _bmp_info(side),
    "WebP": lambda side: b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a" + side.to_bytes(2, "little") * 2,
    "JPEG": lambda side: b"\xff\xd8\xff\xc0\0\x0b\x08" + side.to_bytes(2, "big") * 2 + b"\1\1\x11\0\xff\xda\0\2",
}


def _bmp_info(side: int) -> bytes:
    fields = (40, side, side, 1 | 24 << 16, 0, 0, 0, 0, 0, 0)
    return b"".join(field.to_bytes(4, "little") for field in fields)


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_the_content_decides_and_not_the_ending(tmp_path: Path, pixels: Pixels) -> None:
    for kind in ("PNG", "TIFF", "BMP", "WebP", "JPEG"):
        Image.fromarray(pixels).save(tmp_path / "a.dcm", kind, lossless=True)
        picture = decode(tmp_path / "a.dcm")
        assert (picture.file_format, picture.drawn, picture.pixels.shape) == (kind, False, (20, 30, 3))
        if kind != "JPEG":
            np.testing.assert_array_equal(picture.pixels, pixels)


def test_dicom_goes_through_the_same_door(tmp_path: Path, pixels: Pixels) -> None:
    picture = decode(write_dicom(tmp_path / "a.png", pixels))
    assert (picture.file_format, picture.drawn) == ("DICOM", False)
    np.testing.assert_array_equal(picture.pixels, pixels)


def test_every_format_gives_pixels_that_may_be_written_to(tmp_path: Path, pixels: Pixels) -> None:
    for kind in ("PNG", "TIFF", "BMP", "WebP", "JPEG"):
        Image.fromarray(pixels).save(tmp_path / "a", kind)
        pixels_of(tmp_path / "a")[0, 0] = 0


def test_drawn_pictures_are_known_by_name_or_by_their_dicom_comment(tmp_path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(tmp_path / "drawn_mel_01.jpg")
    Image.fromarray(pixels).save(tmp_path / "redrawn_mel.tif")
    assert decode(tmp_path / "drawn_mel_01.jpg").drawn
    assert not decode(tmp_path / "redrawn_mel.tif").drawn
    assert decode(write_dicom(tmp_path / "drawn_nv.dcm", pixels)).drawn
    assert decode(write_dicom(tmp_path / "b.dcm", pixels, ImageComments="Drawn by a program")).drawn


def test_other_formats_are_named_and_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg", "GIF")
    assert refusal(tmp_path / "photo.jpg").reason.startswith("GIF: format not supported")
    assert refusal(tmp_path / "photo.jpg").refused


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x00\x00\x00\x0cjP  \r\n", "JPEG 2000"),
        (b"\x00\x00\x00\x18ftypheic", "HEIF or AVIF"),
        (b"MM\x00*" + bytes(124) + b"DICM", "DICOM"),  # a TIFF that is a DICOM file as well
        (b"II+\x00\x08\x00\x00\x00", "TIFF"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_formats_are_told_by_their_first_bytes(head: bytes, name: str | None) -> None:
    assert format_of(head) == name


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    reason = refusal(tmp_path / "letter.jpg", b"%PDF-1.7 " * 50).reason
    assert reason == "not an image by its content: none of JPEG, PNG, TIFF, BMP, WebP, DICOM"
    assert set(FORMATS) == {*HEADERS, "DICOM"}


def test_empty_files_folders_and_links_are_refused(tmp_path: Path, pixels: Pixels) -> None:
    (tmp_path / "void.jpg").touch()
    (tmp_path / "heap.jpg").mkdir()
    Image.fromarray(pixels).save(tmp_path / "real.png")
    (tmp_path / "alias.png").symlink_to(tmp_path / "real.png")
    assert refusal(tmp_path / "void.jpg").reason == "the file is empty"
    assert refusal(tmp_path / "heap.jpg").refused
    assert refusal(tmp_path / "alias.png").reason == "symbolic link"
    assert not refusal(tmp_path / "gone.png").refused


@pytest.mark.parametrize("kind", HEADERS)
def test_the_cap_is_held_against_the_header_before_decoding(tmp_path: Path, kind: str) -> None:
    error = refusal(tmp_path / "vast", HEADERS[kind](8000))
    assert error.refused
    assert error.reason == "8000 x 8000 pixels are more than the 50000000 that are allowed"
    assert not refusal(tmp_path / "tidy", HEADERS[kind](100), Reading(max_pixels=10_000)).refused
    assert refusal(tmp_path / "snug", HEADERS[kind](100), Reading(max_pixels=9_999)).refused


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", HEADERS)
def test_a_truncated_file_is_unreadable(tmp_path: Path, pixels: Pixels, kind: str, share: float) -> None:
    Image.fromarray(pixels).save(tmp_path / "torn.bin", kind)
    data = (tmp_path / "torn.bin").read_bytes()
    assert not refusal(tmp_path / "torn.bin", data[: int(len(data) * share)]).refused


def test_pillow_is_left_as_it_was_found(tmp_path: Path, pixels: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # by another library, say
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 123)
    Image.fromarray(pixels).save(tmp_path / "torn.jpg")
    (tmp_path / "torn.jpg").write_bytes((tmp_path / "torn.jpg").read_bytes()[:-200])
    assert not refusal(tmp_path / "torn.jpg").refused
    assert ImageFile.LOAD_TRUNCATED_IMAGES
    assert Image.MAX_IMAGE_PIXELS == 123


def test_a_file_far_larger_than_its_pixels_can_be_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "endless.jpg").open("wb") as stream:
        stream.write(b"\xff\xd8\xff\xe0")
        stream.truncate(65 * 2**20)  # sparse: takes no space
    assert "larger than a picture" in refusal(tmp_path / "endless.jpg", reading=Reading(max_pixels=1000)).reason


def test_four_samples_of_16_bits_are_not_too_large_a_file(tmp_path: Path) -> None:
    (tmp_path / "deep.tif").write_bytes(tiff(np.zeros((1, 1, 4), np.uint16)))
    with (tmp_path / "deep.tif").open("r+b") as stream:
        stream.truncate(64 * 2**20 + 8)
    decode(tmp_path / "deep.tif", Reading(max_pixels=1))
