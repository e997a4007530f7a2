"""JPEG, BMP and WebP become upright 8-bit RGB, or a reason."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from tests.images.decoding import ORIENTATIONS, Pixels, composed, pixels_of, refusal


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.fixture
def smooth() -> Pixels:
    """What JPEG changes little."""
    row, column = np.mgrid[:20, :30]
    return np.stack([row * 9, column * 7, 255 - row * 9], axis=-1).astype(np.uint8)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


# JPEG


def test_a_jpeg_keeps_its_colours(tmp_path: Path, smooth: Pixels) -> None:
    for progressive in (False, True):
        data = _saved(Image.fromarray(smooth), "JPEG", quality=98, subsampling=0, progressive=progressive)
        np.testing.assert_allclose(pixels_of(tmp_path / "a.jpg", data), smooth, atol=4)


def test_a_grey_jpeg_becomes_rgb_of_equal_channels(tmp_path: Path, smooth: Pixels) -> None:
    read = pixels_of(tmp_path / "a.jpg", _saved(Image.fromarray(smooth[..., 1]), "JPEG", quality=98))
    np.testing.assert_allclose(read, np.repeat(smooth[..., 1:2], 3, axis=2), atol=3)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["JPEG", "WebP"])
def test_exif_orientation_is_applied(tmp_path: Path, smooth: Pixels, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _saved(Image.fromarray(smooth), kind, exif=exif, quality=98, subsampling=0, lossless=True)
    np.testing.assert_allclose(pixels_of(tmp_path / "a", data), ORIENTATIONS[orientation](smooth), atol=4)


def _inks() -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Four patches of ink, and what they look like."""
    inks = np.zeros((16, 32, 4), np.uint8)
    inks[:, :8], inks[:, 8:16], inks[:, 16:24] = (255, 0, 0, 0), (200, 56, 24, 32), (0, 0, 0, 255)
    share = inks.astype(float) / 255
    return inks, 255 * (1 - share[..., :3]) * (1 - share[..., 3:])


def test_the_inks_of_a_cmyk_jpeg_are_inverted_as_adobe_has_it(tmp_path: Path) -> None:
    inks, shown = _inks()
    data = _saved(Image.frombytes("CMYK", (32, 16), inks.tobytes()), "JPEG", quality=100)  # Pillow inverts too
    np.testing.assert_allclose(pixels_of(tmp_path / "a.jpg", data), shown, atol=3)
    without_mark = data.replace(b"\xff\xee\x00\x0eAdobe", b"\xff\xee\x00\x0eOther")
    assert without_mark != data
    np.testing.assert_allclose(pixels_of(tmp_path / "b.jpg", without_mark), shown, atol=3)


def test_ycck_is_cmyk_by_another_road(tmp_path: Path) -> None:
    inks, shown = _inks()
    # A YCCK file holds the YCbCr of the three inks, and the black inverted; Pillow inverts all that it writes.
    stored = np.concatenate([np.asarray(Image.fromarray(inks[..., :3]).convert("YCbCr")), 255 - inks[..., 3:]], axis=2)
    data = _saved(Image.frombytes("CMYK", (32, 16), (255 - stored).tobytes()), "JPEG", quality=100)
    place = data.index(b"Adobe") + 11
    ycck = data[:place] + b"\x02" + data[place + 1 :]
    np.testing.assert_allclose(pixels_of(tmp_path / "a.jpg", ycck), shown, atol=5)


def test_a_profile_changes_no_pixel(tmp_path: Path, smooth: Pixels) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()  # far from sRGB
    for kind in ("JPEG", "WebP"):
        plain, tagged = (_saved(Image.fromarray(smooth), kind, icc_profile=icc) for icc in (None, profile))
        assert profile in tagged
        np.testing.assert_array_equal(pixels_of(tmp_path / "a", tagged), pixels_of(tmp_path / "b", plain))


def test_a_jpeg_of_two_pictures_gives_the_first(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    data = _saved(first, "MPO", save_all=True, append_images=[second])
    np.testing.assert_allclose(pixels_of(tmp_path / "stereo.jpg", data), np.full((8, 8, 3), [255, 0, 0]), atol=3)


def test_a_jpeg_of_very_many_scans_is_refused(tmp_path: Path, smooth: Pixels) -> None:
    data = _saved(Image.fromarray(smooth), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    repeated = data[:last] + data[last:-2] * 250 + data[-2:]
    assert refusal(tmp_path / "slow.jpg", repeated).reason == "JPEG: more than 200 scans"


def test_a_scan_mark_is_counted_where_two_pieces_of_the_file_meet(tmp_path: Path) -> None:
    scan = b"\xff\xda\x00\x02"
    close = b"\xff\xd8" + scan * 199
    apart = bytes(2**20 - 1)  # the mark's first byte ends a piece, its second one begins the next
    assert "scans" in refusal(tmp_path / "slow.jpg", close + apart + scan + apart + scan).reason
    assert "scans" not in refusal(tmp_path / "fast.jpg", close + apart + scan).reason


def test_what_looks_like_scans_in_a_profile_or_behind_the_picture_is_none(tmp_path: Path, smooth: Pixels) -> None:
    data = _saved(Image.fromarray(smooth), "JPEG", icc_profile=b"\xff\xda" * 300)
    expected = pixels_of(tmp_path / "plain.jpg", _saved(Image.fromarray(smooth), "JPEG"))
    np.testing.assert_array_equal(pixels_of(tmp_path / "motion.jpg", data + b"\xff\xda\x00\x02" * 300), expected)


def test_an_orientation_that_cannot_be_read_is_none(tmp_path: Path, smooth: Pixels) -> None:
    note = PngInfo()
    note.add_text("Raw profile type exif", "\nexif\n      20\nno hexadecimal numbers", zip=True)
    np.testing.assert_array_equal(
        pixels_of(tmp_path / "note.png", _saved(Image.fromarray(smooth), "PNG", pnginfo=note)), smooth
    )


def test_12_bit_jpeg_is_told_from_the_header(tmp_path: Path, smooth: Pixels) -> None:
    data = bytearray(_saved(Image.fromarray(smooth), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    assert "unsupported variant" in refusal(tmp_path / "deep.jpg", bytes(data)).reason


# BMP


def _bmp(
    stored: bytes, width: int, height: int, bits: int, *, extra: bytes = b"", compression: int = 0, header: int = 40
) -> bytes:
    """A BMP written field by field; ``extra`` is what follows the first 40 bytes of the header."""
    info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(stored), 0, 0, 0, 0) + extra
    return b"BM" + struct.pack("<IHHI", 14 + len(info) + len(stored), 0, 0, 14 + len(info)) + info + stored


def _padded(rows: NDArray[np.uint8]) -> bytes:
    return b"".join(row.tobytes() + b"\0" * (-row.nbytes % 4) for row in rows)


def test_a_bmp_is_stored_from_the_bottom_in_bgr(tmp_path: Path, pixels: Pixels) -> None:
    odd = pixels[:, :29]
    data = _bmp(_padded(np.ascontiguousarray(odd[::-1, :, ::-1])), 29, 20, 24)
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.bmp", data), odd)


def test_a_bmp_of_negative_height_is_stored_from_the_top(tmp_path: Path, pixels: Pixels) -> None:
    data = _bmp(_padded(np.ascontiguousarray(pixels[..., ::-1])), 30, -20, 24)
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.bmp", data), pixels)


def test_the_palettes_of_a_bmp(tmp_path: Path) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (256, 4), dtype=np.uint8)
    for bits, stored, indices in (
        (8, b"\x07\xff\0\0", [7, 255]),
        (4, b"\x7f\0\0\0", [7, 15]),
        (1, b"\x40\0\0\0", [0, 1]),
    ):
        data = _bmp(stored, 2, 1, bits, extra=colours[: 2**bits].tobytes())
        np.testing.assert_array_equal(pixels_of(tmp_path / "a.bmp", data)[0], colours[indices, 2::-1])


def test_the_fourth_byte_of_a_bmp_counts_only_where_the_header_calls_it_alpha(tmp_path: Path) -> None:
    stored = bytes([10, 20, 30, 0, 10, 20, 30, 128])  # blue, green, red, fourth
    assert pixels_of(tmp_path / "a.bmp", _bmp(stored, 2, 1, 32)).tolist() == [[[30, 20, 10]] * 2]
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000).ljust(84, b"\0")
    read = pixels_of(tmp_path / "b.bmp", _bmp(stored, 2, 1, 32, extra=masks, compression=3, header=124))
    expected = composed(np.array([[[30, 20, 10]] * 2]), np.array([[0, 128]]))
    np.testing.assert_allclose(read, expected, atol=1)


def test_16_bits_a_pixel_are_5_a_colour(tmp_path: Path) -> None:
    stored = struct.pack("<2H", 0b0_11111_00000_00001, 0b0_00000_11111_00000)
    read = pixels_of(tmp_path / "a.bmp", _bmp(stored, 2, 1, 16))
    assert read.tolist() == [[[255, 0, 8], [0, 255, 0]]]


def test_a_compressed_bmp_is_refused(tmp_path: Path) -> None:
    data = _bmp(b"\x02\x07\x00\x01", 2, 1, 8, extra=bytes(1024), compression=1)
    assert refusal(tmp_path / "runs.bmp", data).reason.startswith("BMP: compressed pixels")
    assert "variant" in refusal(tmp_path / "odd.bmp", _bmp(b"", 2, 1, 24, compression=4)).reason


def test_a_bmp_without_its_last_byte_is_unreadable(tmp_path: Path, pixels: Pixels) -> None:
    assert not refusal(tmp_path / "torn.bmp", _bmp(pixels.tobytes(), 30, 20, 24)[:-200]).refused


# WebP


def test_a_lossless_webp_is_read_exactly(tmp_path: Path, pixels: Pixels) -> None:
    data = _saved(Image.fromarray(pixels), "WebP", lossless=True)
    assert data[12:16] == b"VP8L"
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.webp", data), pixels)


def test_a_lossy_webp_keeps_its_colours(tmp_path: Path, smooth: Pixels) -> None:
    data = _saved(Image.fromarray(smooth), "WebP", quality=95)
    assert data[12:16] == b"VP8 "
    np.testing.assert_allclose(pixels_of(tmp_path / "a.webp", data), smooth, atol=20)


@pytest.mark.parametrize("lossless", [True, False])
def test_the_alpha_of_a_webp_lies_over_white(tmp_path: Path, smooth: Pixels, lossless: bool) -> None:
    alpha = np.full((20, 30, 1), 255, np.uint8)
    alpha[:5], alpha[5:10] = 0, 128
    image = Image.fromarray(np.concatenate([smooth, alpha], axis=2))
    read = pixels_of(tmp_path / "a.webp", _saved(image, "WebP", lossless=lossless, exact=True, quality=95))
    np.testing.assert_allclose(read, composed(smooth, alpha[..., 0]), atol=1 if lossless else 20)
    assert (read[:5] == 255).all()


def test_a_moving_webp_is_refused_even_when_it_has_one_frame(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    moving = _saved(first, "WebP", save_all=True, append_images=[second])
    assert refusal(tmp_path / "moving.webp", moving).reason == "WebP: an animation, not one picture"
    flagged = bytearray(_saved(Image.new("RGBA", (8, 8), (1, 2, 3, 4)), "WebP"))
    assert flagged[12:16] == b"VP8X"
    flagged[20] |= 2
    assert "animation" in refusal(tmp_path / "still.webp", bytes(flagged)).reason


def test_a_webp_whose_parts_disagree_about_the_size_is_unreadable(tmp_path: Path) -> None:
    data = bytearray(_saved(Image.new("RGBA", (8, 8), (1, 2, 3, 4)), "WebP"))
    data[24] = 200
    assert not refusal(tmp_path / "lie.webp", bytes(data)).refused


def test_a_webp_whose_header_says_that_it_is_shorter_is_unreadable(tmp_path: Path, pixels: Pixels) -> None:
    data = bytearray(_saved(Image.fromarray(pixels), "WebP", lossless=True)[:-400])
    data[4:8] = (len(data) - 8).to_bytes(4, "little")
    assert not refusal(tmp_path / "torn.webp", bytes(data)).refused
    assert "header" in refusal(tmp_path / "other.webp", b"RIFF\x20\0\0\0WEBPNONE" + bytes(30)).reason
