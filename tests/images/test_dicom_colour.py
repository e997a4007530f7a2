"""Samples become RGB by the formulas of the standard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRBigEndian

from skinaudit.images.dicom import read_dicom
from skinaudit.images.dicom_colour import native_samples, palette_tables
from skinaudit.images.dicom_header import Attributes
from skinaudit.images.dicom_layout import Layout
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused
from tests.images.dicom_files import palette, run_length_encoded, write_dicom, write_grey

Pixels = NDArray[np.uint8]
RANDOM: Pixels = np.random.default_rng(4).integers(0, 256, (70, 8, 3), dtype=np.uint8)


def _read(path: Path) -> Pixels:
    return read_dicom(path, Reading())


def _rgb(ybr: Pixels) -> NDArray[np.int64]:
    """PS3.3, C.7.6.3.1.2, turned round, in double precision."""
    y, cb, cr = (ybr[..., channel].astype(float) - (0, 128, 128)[channel] for channel in range(3))
    red, blue = y + 1.402 * cr, y + 1.772 * cb
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return np.clip(np.rint(np.stack([red, green, blue], axis=-1)), 0, 255).astype(np.int64)


@pytest.mark.parametrize("planar", [0, 1])
def test_ybr_full_becomes_rgb(tmp_path: Path, planar: int) -> None:
    path = write_dicom(tmp_path / "a.dcm", RANDOM, planar=planar, PhotometricInterpretation="YBR_FULL")
    assert np.abs(_read(path) - _rgb(RANDOM)).max() <= 1  # single precision may round a half the other way
    assert (_read(path) == _rgb(RANDOM)).mean() > 0.99


def test_run_length_encoded_ybr_full_becomes_rgb(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", RANDOM, PhotometricInterpretation="YBR_FULL")
    plain = _read(path)
    np.testing.assert_array_equal(_read(run_length_encoded(path)), plain)


def test_grey_in_ybr_full_stays_grey(tmp_path: Path) -> None:
    grey = np.full((2, 4, 3), 128, dtype=np.uint8)
    grey[..., 0] = np.arange(8).reshape(2, 4) * 36
    path = write_dicom(tmp_path / "a.dcm", grey, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_array_equal(_read(path), np.repeat(grey[..., :1], 3, axis=2))


def test_pairs_of_pixels_share_their_colour_in_ybr_full_422(tmp_path: Path) -> None:
    stored = RANDOM[:, ::2]  # (70, 4): one colour a pair
    luminance = RANDOM[..., 0]
    pairs = np.concatenate([luminance.reshape(70, 4, 2), stored[..., 1:2], stored[..., 2:3]], axis=-1)  # Y, Y, Cb, Cr
    path = write_dicom(tmp_path / "a.dcm", RANDOM, PhotometricInterpretation="YBR_FULL_422", PixelData=pairs.tobytes())
    full = np.stack([luminance, stored[..., 1].repeat(2, axis=1), stored[..., 2].repeat(2, axis=1)], axis=-1)
    assert np.abs(_read(path) - _rgb(full)).max() <= 1


@pytest.mark.parametrize(
    ("stored", "kind"), [(8, np.uint8), (5, np.uint8), (1, np.uint8), (12, np.uint16), (16, np.uint16)]
)
def test_the_whole_stored_range_of_grey_becomes_the_whole_range(tmp_path: Path, stored: int, kind: type) -> None:
    most = 2**stored - 1
    grey = np.linspace(0, most, 300).astype(kind).reshape(15, 20)
    expected = np.rint(grey / most * 255)
    read = _read(write_grey(tmp_path / "a.dcm", grey, stored))
    assert (read.min(), read.max()) == (0, 255)
    for channel in range(3):
        np.testing.assert_array_equal(read[..., channel], expected)
    inverted = _read(write_grey(tmp_path / "b.dcm", grey, stored, "MONOCHROME1"))
    np.testing.assert_array_equal(inverted, 255 - read)


def test_bits_above_the_stored_ones_do_not_count(tmp_path: Path) -> None:
    grey = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    np.testing.assert_array_equal(
        _read(write_grey(tmp_path / "a.dcm", grey | 0xA000, 12)), _read(write_grey(tmp_path / "b.dcm", grey, 12))
    )


@pytest.mark.parametrize("bits", [8, 16])
def test_big_endian_grey_is_read_in_its_order(tmp_path: Path, bits: int) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16).astype(f"u{bits // 8}") * (257 if bits == 16 else 1)
    swapped = grey.view(np.uint16).byteswap().tobytes()
    path = write_grey(tmp_path / "a.dcm", grey, bits, syntax=ExplicitVRBigEndian, PixelData=swapped)
    path.write_bytes(path.read_bytes().replace(b"\x7f\xe0\0\x10OB", b"\x7f\xe0\0\x10OW"))
    np.testing.assert_array_equal(_read(path)[..., 1], np.arange(256).reshape(16, 16))


ENTRIES = np.random.default_rng(6).integers(0, 256, (3, 256), dtype=np.uint8)
INDEXES = np.random.default_rng(7).integers(0, 256, (9, 11), dtype=np.uint8)


def _bytes(entries: NDArray[np.uint8], factor: int) -> list[bytes]:
    """Little-endian words of each colour, or bytes when there is no factor."""
    return [(row.astype("<u2") * factor).tobytes() if factor else row.tobytes() for row in entries]


@pytest.mark.parametrize(
    ("factor", "bits"),
    [(0, 8), (1, 8), (256, 16), (257, 16), (1, 16)],
    ids=["bytes", "words", "upper bytes", "both bytes", "8 bits that are called 16"],
)
def test_a_palette_gives_its_colours(tmp_path: Path, factor: int, bits: int) -> None:
    colours = palette(*_bytes(ENTRIES, factor), count=256, first=0, bits=bits)
    path = write_grey(tmp_path / "a.dcm", INDEXES, 8, "PALETTE COLOR", **colours)
    np.testing.assert_array_equal(_read(path), ENTRIES[:, INDEXES].transpose(1, 2, 0))
    np.testing.assert_array_equal(_read(run_length_encoded(path)), ENTRIES[:, INDEXES].transpose(1, 2, 0))


def test_a_palette_of_sixteen_bit_samples_has_65536_entries(tmp_path: Path) -> None:
    entries = np.random.default_rng(2).integers(0, 65536, (3, 65536)).astype("<u2")
    samples = np.random.default_rng(3).integers(0, 65536, (6, 5), dtype=np.uint16)
    colours = palette(*(row.tobytes() for row in entries), count=0, first=0, bits=16)
    path = write_grey(tmp_path / "a.dcm", samples, 16, "PALETTE COLOR", **colours)
    np.testing.assert_array_equal(_read(path), (entries >> 8)[:, samples].transpose(1, 2, 0))


def test_values_outside_a_palette_get_its_first_or_last_entry(tmp_path: Path) -> None:
    samples = np.array([[0, 99, 100, 101, 102, 255]], dtype=np.uint8)
    colours = palette(b"\1\2\3\0", b"\4\5\6\0", b"\7\x08\x09\0", count=3, first=100, bits=8)
    read = _read(write_grey(tmp_path / "a.dcm", samples, 8, "PALETTE COLOR", **colours))
    assert read[0, :, 0].tolist() == [1, 1, 1, 2, 3, 3]
    assert read[0, :, 2].tolist() == [7, 7, 7, 8, 9, 9]


GREY_LAYOUT = Layout(1, 1, 1, "PALETTE COLOR", planes=False, allocated=8, stored=8, frames=1, frame=0)


def _tables(descriptor: bytes, data: bytes, big_endian: bool = False, **more: bytes) -> list[list[int]]:
    parts = {f"descriptor {colour}": descriptor for colour in range(3)} | {f"palette {c}": data for c in range(3)}
    found = Attributes(palettes=parts | {name.replace("_", " "): value for name, value in more.items()})
    return [table[:3].tolist() for table in palette_tables(found, GREY_LAYOUT, big_endian)]


def test_big_endian_palettes_are_read_in_their_order() -> None:
    assert _tables(b"\0\2\0\0\0\x10", b"\x12\x34\xff\0", big_endian=True)[0] == [0x12, 0xFF, 0xFF]
    assert _tables(b"\0\2\0\0\0\x08", b"\0\x34\0\xff", big_endian=True)[0] == [0x34, 0xFF, 0xFF]
    assert _tables(b"\0\3\0\0\0\x08", b"\2\1\0\3", big_endian=True)[0] == [1, 2, 3]  # bytes in words


@pytest.mark.parametrize(
    ("descriptor", "data", "more", "reason"),
    [
        (b"", b"", {}, "descriptors"),
        (b"\2\0\0\0\x08", b"\1\2", {}, "descriptors"),
        (b"\2\0\0\0\x08\0", b"\1\2", {"descriptor_1": b"\3\0\0\0\x08\0"}, "descriptors"),
        (b"\2\0\0\0\x0c\0", b"\1\2", {}, "8 or 16 bits"),
        (b"\2\0\0\0\x08\0", b"\1", {}, "length of the palette"),
        (b"\2\0\0\0\x08\0", b"\1\2\3", {}, "length of the palette"),
        (b"\2\0\0\0\x10\0", b"\1\2", {}, "length of the palette"),
        (b"\2\0\0\0\x08\0", b"\1\2", {"palette_2": b""}, "length of the palette"),
    ],
)
def test_a_palette_whose_parts_do_not_fit_is_unreadable(
    descriptor: bytes, data: bytes, more: dict[str, bytes], reason: str
) -> None:
    with pytest.raises(ImageRefused, match=reason) as caught:
        _tables(descriptor, data, **more)
    assert not caught.value.refused


def test_a_segmented_palette_is_refused(tmp_path: Path) -> None:
    colours = palette(*_bytes(ENTRIES, 0), count=256, first=0, bits=8)
    segmented = {"SegmentedRedPaletteColorLookupTableData": b"\0\0\1\0"}
    with pytest.raises(ImageRefused, match="segmented") as caught:
        _read(write_grey(tmp_path / "a.dcm", INDEXES, 8, "PALETTE COLOR", **colours, **segmented))
    assert caught.value.refused


def test_planes_and_pixels_hold_the_same_samples() -> None:
    layout = Layout(70, 8, 3, "RGB", planes=True, allocated=8, stored=8, frames=1, frame=0)
    samples = native_samples(RANDOM.transpose(2, 0, 1).tobytes(), layout, big_endian=False)
    np.testing.assert_array_equal(samples, RANDOM)
