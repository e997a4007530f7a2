"""PNG of every depth and colour type becomes upright 8-bit RGB, or a reason."""

from __future__ import annotations

import resource
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.images.decoding import ORIENTATIONS, Pixels, composed, pixels_of, refusal, rounded
from tests.images.png_files import chunk, png

#: Passes of Adam7: first row and column, steps (ISO/IEC 15948, 8.2).
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def _deep(samples: int, opaque: bool = True) -> NDArray[np.uint16]:
    picture = np.random.default_rng(samples).integers(0, 65536, (11, 13, samples)).astype(np.uint16)
    if samples in {2, 4} and opaque:
        picture[..., -1] = 65535
    return picture


def _rows(picture: NDArray[np.generic]) -> bytes:
    """Rows without a filter, samples in the byte order of PNG."""
    return b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in picture)


def test_a_png_is_read_exactly(tmp_path: Path, pixels: Pixels) -> None:
    read = pixels_of(tmp_path / "a.png", png(30, 20, 8, 2, _rows(pixels)))
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("depth", [8, 16])
def test_exif_orientation_is_applied(tmp_path: Path, pixels: Pixels, depth: int, orientation: int) -> None:
    tag = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    stored = pixels.astype(np.uint16) * 257 if depth == 16 else pixels
    data = png(30, 20, depth, 2, _rows(stored), chunk(b"eXIf", tag))
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.png", data), ORIENTATIONS[orientation](pixels))


def test_grey_becomes_rgb_of_equal_channels(tmp_path: Path, pixels: Pixels) -> None:
    grey = pixels_of(tmp_path / "a.png", png(30, 20, 8, 0, _rows(pixels[..., 0])))
    np.testing.assert_array_equal(grey, np.repeat(pixels[..., :1], 3, axis=2))


@pytest.mark.parametrize(
    ("depth", "byte", "grey"), [(1, 0b10000000, [255, 0]), (2, 0b11010000, [255, 85]), (4, 0xF1, [255, 17])]
)
def test_few_bits_are_widened_to_the_whole_range(tmp_path: Path, depth: int, byte: int, grey: list[int]) -> None:
    assert pixels_of(tmp_path / "a.png", png(2, 1, depth, 0, bytes([0, byte])))[0, :, 0].tolist() == grey


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    palette = chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
    read = pixels_of(tmp_path / "a.png", png(2, 1, 8, 3, bytes([0, 1, 0]), palette))
    assert read.tolist() == [[[200, 100, 50], [10, 20, 30]]]


@pytest.mark.parametrize(("colour", "samples"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bits_are_rounded_and_not_cut_off(tmp_path: Path, colour: int, samples: int) -> None:
    picture = _deep(samples)
    read = pixels_of(tmp_path / "a.png", png(13, 11, 16, colour, _rows(picture)))
    expected = rounded(picture)[..., : 3 if samples > 2 else 1]
    np.testing.assert_array_equal(read, np.broadcast_to(expected, (11, 13, 3)))
    assert (expected != picture[..., : expected.shape[2]] >> 8).any()  # cutting off would give others


@pytest.mark.parametrize(("colour", "samples"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bits_may_be_interlaced(tmp_path: Path, colour: int, samples: int) -> None:
    picture = _deep(samples)
    rows = b"".join(_rows(picture[top::down, left::right]) for top, left, down, right in ADAM7)
    read = pixels_of(tmp_path / "a.png", png(13, 11, 16, colour, rows, interlace=1))
    expected = rounded(picture)[..., : 3 if samples > 2 else 1]
    np.testing.assert_array_equal(read, np.broadcast_to(expected, (11, 13, 3)))


@pytest.mark.parametrize(("colour", "samples"), [(4, 2), (6, 4)])
@pytest.mark.parametrize("depth", [8, 16])
def test_alpha_lies_over_white(tmp_path: Path, depth: int, colour: int, samples: int) -> None:
    picture = _deep(samples, opaque=False)
    picture[0, :, -1], picture[1, :, -1] = 0, 65535
    shown = rounded(picture) if depth == 16 else (picture >> 8).astype(np.uint8)
    read = pixels_of(tmp_path / "a.png", png(13, 11, depth, colour, _rows(picture if depth == 16 else shown)))
    expected = np.broadcast_to(composed(shown[..., :-1], shown[..., -1]), read.shape)
    np.testing.assert_allclose(read, expected, atol=1)
    assert (read[0] == 255).all()
    np.testing.assert_array_equal(read[1], np.broadcast_to(shown[1, :, :-1], read[1].shape))


def test_the_alpha_of_a_palette_lies_over_white(tmp_path: Path) -> None:
    extra = chunk(b"PLTE", bytes([1, 2, 3, 200, 100, 50])) + chunk(b"tRNS", b"\0\x80")
    read = pixels_of(tmp_path / "a.png", png(2, 1, 8, 3, bytes([0, 0, 1]), extra))
    np.testing.assert_allclose(read[0], [[255, 255, 255], [227, 177, 152]], atol=1)


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key", "clear"),
    [
        (1, 0, b"\x80", ">H 1", [True, False]),
        (2, 0, b"\x60", ">H 1", [True, False]),
        (4, 0, b"\x12", ">H 2", [False, True]),
        (8, 0, b"\x07\x08", ">H 7", [True, False]),
        (16, 0, b"\x07\x00\x07\x01", ">H 1792", [True, False]),  # differ in the lower byte alone
        (8, 2, b"\x09\x08\x07\x09\x08\x06", ">3H 9 8 7", [True, False]),
        (16, 2, b"\x01\x00\x02\x00\x03\x00\x01\x00\x02\x00\x03\x01", ">3H 256 512 769", [False, True]),
    ],
)
def test_a_transparent_colour_shows_white_and_its_neighbours_do_not(
    tmp_path: Path, depth: int, colour: int, row: bytes, key: str, clear: list[bool]
) -> None:
    layout, *values = key.split()
    extra = chunk(b"tRNS", struct.pack(layout, *map(int, values)))
    read = pixels_of(tmp_path / "a.png", png(2, 1, depth, colour, b"\0" + row, extra))
    assert [(pixel == 255).all() for pixel in read[0]] == clear
    plain = pixels_of(tmp_path / "b.png", png(2, 1, depth, colour, b"\0" + row))
    np.testing.assert_array_equal(read[0][np.logical_not(clear)], plain[0][np.logical_not(clear)])


def test_profiles_and_gamma_change_no_pixel(tmp_path: Path, pixels: Pixels) -> None:
    profile = b"wide\0\0" + zlib.compress(b"not even a profile")
    extra = chunk(b"gAMA", struct.pack(">I", 100_000)) + chunk(b"iCCP", profile)
    read = pixels_of(tmp_path / "a.png", png(30, 20, 8, 2, _rows(pixels), extra))
    np.testing.assert_array_equal(read, pixels)


def test_an_animation_is_refused(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    first.save(tmp_path / "moving.png", save_all=True, append_images=[second])
    assert refusal(tmp_path / "moving.png").reason == "PNG: an animation, not one picture"


def test_a_png_that_lacks_only_its_end_mark_is_unreadable(tmp_path: Path, pixels: Pixels) -> None:
    assert "truncated" in refusal(tmp_path / "torn.png", png(30, 20, 8, 2, _rows(pixels))[:-12]).reason


@pytest.mark.parametrize("depth", [8, 16])
def test_too_few_rows_are_unreadable(tmp_path: Path, depth: int) -> None:
    picture = np.zeros((19, 30, 3), np.uint8 if depth == 8 else np.uint16)
    assert not refusal(tmp_path / "torn.png", png(30, 20, depth, 2, _rows(picture))).refused


def test_bytes_behind_the_end_of_a_png_do_no_harm(tmp_path: Path, pixels: Pixels) -> None:
    read = pixels_of(tmp_path / "a.png", png(30, 20, 8, 2, _rows(pixels)) + b"written by a camera")
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_changed_byte_in_a_png_is_found(tmp_path: Path, pixels: Pixels, depth: int) -> None:
    data = bytearray(png(30, 20, depth, 2, _rows(pixels.astype(np.uint8 if depth == 8 else np.uint16))))
    data[len(data) // 2] ^= 0xFF
    assert not refusal(tmp_path / "worn.png", bytes(data)).refused


def test_a_picture_of_any_size_is_refused_without_a_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refusal(tmp_path / "bomb.png", png(60000, 60000, 8, 2, b"")).refused
        assert refusal(tmp_path / "near.png", png(11000, 11000, 16, 2, b"")).refused  # Pillow would only warn


@pytest.mark.parametrize("depth", [8, 16])
def test_data_that_inflate_without_end_cost_no_memory(tmp_path: Path, depth: int) -> None:
    inflater = zlib.compressobj(1)
    data = b"".join(inflater.compress(bytes(2**20)) for _ in range(128)) + inflater.flush()  # 128 MiB
    head, tail = png(10, 10, depth, 2, b"")[:33], chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(head + chunk(b"IDAT", data) + tail)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert pixels_of(tmp_path / "bomb.png").shape == (10, 10, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 48 * 2**10  # KiB
