"""JPEG and PNG files become upright 8-bit RGB, or a reason."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from skinaudit.images.decode import ImageRefused, decode, format_of
from tests.images.dicom_files import write_dicom

Pixels = NDArray[np.uint8]


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def _refusal(path: Path, max_pixels: int = 50_000_000) -> ImageRefused:
    with pytest.raises(ImageRefused) as caught:
        decode(path, max_pixels=max_pixels)
    assert str(path.parent) not in caught.value.reason
    assert path.stem not in caught.value.reason
    return caught.value


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written chunk by chunk after the specification (ISO/IEC 15948), so that every depth can be had."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = _chunk(b"IHDR", header) + extra + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def test_a_png_is_read_exactly(tmp_path: Path, pixels: Pixels) -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    (tmp_path / "a.png").write_bytes(_png(30, 20, 8, 2, rows))
    picture = decode(tmp_path / "a.png")
    assert (picture.file_format, picture.drawn, picture.pixels.dtype) == ("PNG", False, np.uint8)
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.pixels.flags.c_contiguous
    assert picture.pixels.flags.writeable


def test_a_jpeg_of_one_colour_keeps_it(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (200, 120, 100)).save(tmp_path / "a.jpg", quality=95)
    picture = decode(tmp_path / "a.jpg")
    assert picture.file_format == "JPEG"
    assert picture.pixels.shape == (20, 30, 3)
    assert np.abs(picture.pixels.astype(int) - [200, 120, 100]).max() <= 2


def test_the_content_decides_and_not_the_ending(tmp_path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.jpg", "PNG")
    assert decode(tmp_path / "a.jpg").file_format == "PNG"


def test_dicom_goes_through_the_same_door(tmp_path: Path, pixels: Pixels) -> None:
    picture = decode(write_dicom(tmp_path / "a.png", pixels))
    assert (picture.file_format, picture.drawn) == ("DICOM", False)
    np.testing.assert_array_equal(picture.pixels, pixels)


def test_drawn_pictures_are_known_by_name_or_by_their_dicom_comment(tmp_path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(tmp_path / "drawn_mel_01.jpg")
    Image.fromarray(pixels).save(tmp_path / "redrawn_mel.jpg")
    assert decode(tmp_path / "drawn_mel_01.jpg").drawn
    assert not decode(tmp_path / "redrawn_mel.jpg").drawn
    assert decode(write_dicom(tmp_path / "drawn_nv.dcm", pixels)).drawn
    assert decode(write_dicom(tmp_path / "b.dcm", pixels, ImageComments="Drawn by a program")).drawn


#: Where the pixel at (row 0, column 0) of the stored 20 x 30 picture is shown, after the EXIF specification's table.
ORIENTATIONS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation_is_applied(tmp_path: Path, pixels: Pixels, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    upright: Callable[[Pixels], Pixels] = ORIENTATIONS[orientation]
    np.testing.assert_array_equal(decode(tmp_path / "a.png").pixels, upright(pixels))


def test_grey_becomes_rgb_of_equal_channels(tmp_path: Path, pixels: Pixels) -> None:
    for name in ("a.png", "a.jpg"):
        Image.fromarray(pixels[..., 0]).save(tmp_path / name)
        grey = decode(tmp_path / name).pixels
        assert grey.shape == (20, 30, 3)
        assert (grey == grey[..., :1]).all()
    np.testing.assert_array_equal(decode(tmp_path / "a.png").pixels[..., 1], pixels[..., 0])


@pytest.mark.parametrize(("depth", "byte", "grey"), [(1, 0b10000000, [255, 0]), (2, 0b11010000, [255, 85])])
def test_few_bits_are_widened_to_the_whole_range(tmp_path: Path, depth: int, byte: int, grey: list[int]) -> None:
    (tmp_path / "a.png").write_bytes(_png(2, 1, depth, 0, bytes([0, byte])))
    assert decode(tmp_path / "a.png").pixels[0, :, 0].tolist() == grey


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    palette = _chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
    (tmp_path / "a.png").write_bytes(_png(2, 1, 8, 3, bytes([0, 1, 0]), palette))
    assert decode(tmp_path / "a.png").pixels.tolist() == [[[200, 100, 50], [10, 20, 30]]]


@pytest.mark.parametrize(
    ("colour", "sample", "extra"),
    [
        (6, bytes([200, 100, 0, 0]), b""),
        (4, bytes([100, 0]), b""),
        (3, bytes([0]), _chunk(b"PLTE", bytes([1, 2, 3])) + _chunk(b"tRNS", b"\0")),
        (2, bytes([9, 8, 7]), _chunk(b"tRNS", bytes([0, 9, 0, 8, 0, 7]))),
    ],
)
def test_what_is_transparent_shows_white(tmp_path: Path, colour: int, sample: bytes, extra: bytes) -> None:
    (tmp_path / "a.png").write_bytes(_png(1, 1, 8, colour, b"\0" + sample, extra))
    assert decode(tmp_path / "a.png").pixels.tolist() == [[[255, 255, 255]]]


def test_half_transparent_is_half_white(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_png(1, 1, 8, 6, bytes([0, 200, 100, 0, 128])))
    expected = [value * 128 / 255 + 255 * 127 / 255 for value in (200, 100, 0)]
    np.testing.assert_allclose(decode(tmp_path / "a.png").pixels[0, 0], expected, atol=1)


@pytest.mark.parametrize(("depth", "colour", "sample"), [(16, 0, 2), (16, 2, 6), (16, 6, 8)])
def test_16_bits_are_refused_with_the_reason(tmp_path: Path, depth: int, colour: int, sample: int) -> None:
    (tmp_path / "deep.png").write_bytes(_png(1, 1, depth, colour, bytes(1 + sample)))
    refusal = _refusal(tmp_path / "deep.png")
    assert refusal.refused
    assert "16 bits" in refusal.reason


def test_cmyk_is_refused_with_the_reason(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8)).save(tmp_path / "print.jpg")
    assert "CMYK" in _refusal(tmp_path / "print.jpg").reason


def test_an_animation_is_refused_and_a_jpeg_of_two_pictures_gives_the_first(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    first.save(tmp_path / "moving.png", save_all=True, append_images=[second])
    assert "animation" in _refusal(tmp_path / "moving.png").reason
    first.save(tmp_path / "stereo.jpg", "MPO", save_all=True, append_images=[second])
    picture = decode(tmp_path / "stereo.jpg")
    assert picture.file_format == "JPEG"
    np.testing.assert_allclose(picture.pixels[4, 4], [255, 0, 0], atol=3)


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "WebP", "GIF"])
def test_other_formats_are_named_as_not_supported_yet(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg", kind)
    refusal = _refusal(tmp_path / "photo.jpg")
    assert refusal.refused
    assert refusal.reason.startswith(f"{kind}: format not supported yet")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x00\x00\x00\x0cjP  \r\n", "JPEG 2000"),
        (b"\x00\x00\x00\x18ftypheic", "HEIF or AVIF"),
        (b"MM\x00*" + bytes(124) + b"DICM", "DICOM"),  # a TIFF that is a DICOM file as well
        (b"RIFF\0\0\0\0WAVE", None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_formats_are_told_by_their_first_bytes(head: bytes, name: str | None) -> None:
    assert format_of(head) == name


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_bytes(b"%PDF-1.7 " * 50)
    assert _refusal(tmp_path / "letter.jpg").reason == "neither JPEG, PNG nor DICOM by its content"


def test_empty_files_folders_and_links_are_refused(tmp_path: Path, pixels: Pixels) -> None:
    (tmp_path / "void.jpg").touch()
    (tmp_path / "heap.jpg").mkdir()
    Image.fromarray(pixels).save(tmp_path / "real.png")
    (tmp_path / "alias.png").symlink_to(tmp_path / "real.png")
    assert _refusal(tmp_path / "void.jpg").reason == "the file is empty"
    assert _refusal(tmp_path / "heap.jpg").refused
    assert _refusal(tmp_path / "alias.png").reason == "symbolic link"
    assert not _refusal(tmp_path / "gone.png").refused


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
@pytest.mark.parametrize(("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {})])
def test_truncated_data_is_unreadable(
    tmp_path: Path, pixels: Pixels, kind: str, options: dict[str, bool], share: float
) -> None:
    path = tmp_path / "torn.bin"
    Image.fromarray(pixels).save(path, kind, **options)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert not _refusal(path).refused


def test_truncated_data_is_unreadable_even_when_another_library_made_pillow_lenient(
    tmp_path: Path, pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    Image.fromarray(pixels).save(tmp_path / "torn.jpg")
    (tmp_path / "torn.jpg").write_bytes((tmp_path / "torn.jpg").read_bytes()[:-200])
    assert not _refusal(tmp_path / "torn.jpg").refused
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_png_that_lacks_only_its_end_mark_is_unreadable(tmp_path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(tmp_path / "torn.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "torn.png").read_bytes()[:-12])
    assert "truncated" in _refusal(tmp_path / "torn.png").reason


def test_bytes_behind_the_end_of_a_png_do_no_harm(tmp_path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("ab") as stream:
        stream.write(b"written by a camera")
    np.testing.assert_array_equal(decode(tmp_path / "a.png").pixels, pixels)


def test_a_changed_byte_in_a_png_is_found(tmp_path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(tmp_path / "worn.png")
    data = bytearray((tmp_path / "worn.png").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "worn.png").write_bytes(data)
    assert not _refusal(tmp_path / "worn.png").refused


def test_the_cap_is_held_against_the_header_before_decoding(tmp_path: Path, pixels: Pixels) -> None:
    # Only the header is there: a decoder that went on to the pixels would call the file truncated.
    (tmp_path / "vast.png").write_bytes(_png(8000, 8000, 8, 2, b""))
    refusal = _refusal(tmp_path / "vast.png")
    assert refusal.refused
    assert "8000 x 8000" in refusal.reason
    Image.fromarray(pixels).save(tmp_path / "tidy.png")
    assert decode(tmp_path / "tidy.png", max_pixels=600).pixels.shape == (20, 30, 3)
    assert _refusal(tmp_path / "tidy.png", max_pixels=599).refused


def test_a_decompression_bomb_is_refused_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(_png(60000, 60000, 8, 2, b""))
    (tmp_path / "near.png").write_bytes(_png(11000, 11000, 8, 2, b""))  # where Pillow would only warn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _refusal(tmp_path / "bomb.png").refused
        assert _refusal(tmp_path / "near.png").refused


def test_a_file_far_larger_than_its_pixels_can_be_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "endless.jpg").open("wb") as stream:
        stream.write(b"\xff\xd8\xff\xe0")
        stream.truncate(65 * 2**20)  # sparse: takes no space
    assert "larger than a picture" in _refusal(tmp_path / "endless.jpg", max_pixels=1000).reason
