"""The frame that is meant is found without a look at the others."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit

from skinaudit.images.dicom import read_dicom
from skinaudit.images.dicom_elements import Element, ElementReader, Encoding
from skinaudit.images.dicom_frame import native_frame
from skinaudit.images.dicom_layout import Layout
from skinaudit.images.dicom_source import FileBytes
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused
from tests.images.dicom_files import coded, run_length_encoded, write_dicom

Pixels = NDArray[np.uint8]
MOVIE: Pixels = np.random.default_rng(8).integers(0, 256, (4, 5, 7, 3), dtype=np.uint8)


def _movie(path: Path, **more: object) -> Path:
    raw = MOVIE.tobytes()
    changed = {"NumberOfFrames": len(MOVIE), "PixelData": raw + b"\0" * (len(raw) % 2)} | more
    return write_dicom(path, MOVIE[0], **changed)  # type: ignore[arg-type]


def _refusal(path: Path, frame: int | None = None) -> ImageRefused:
    with pytest.raises(ImageRefused) as caught:
        read_dicom(path, Reading(frame=frame))
    return caught.value


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_each_uncompressed_frame_is_read(tmp_path: Path, syntax: str) -> None:
    path = _movie(tmp_path / "a.dcm", syntax=syntax)
    for number, frame in enumerate(MOVIE, start=1):
        np.testing.assert_array_equal(read_dicom(path, Reading(frame=number)), frame)
    assert "several frames" in _refusal(path).reason
    assert "no frame 5" in _refusal(path, 5).reason


def test_each_run_length_encoded_frame_is_read(tmp_path: Path) -> None:
    path = run_length_encoded(_movie(tmp_path / "a.dcm"))
    for number, frame in enumerate(MOVIE, start=1):
        np.testing.assert_array_equal(read_dicom(path, Reading(frame=number)), frame)


def _shown(frame: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(frame)).convert("RGB"))


@pytest.mark.parametrize(("fragments", "offset_table"), [(1, True), (1, False), (3, True)])
def test_each_jpeg_frame_is_read_however_it_is_cut_up(tmp_path: Path, fragments: int, offset_table: bool) -> None:
    frames = [coded(frame, "JPEG") for frame in MOVIE]
    path = write_dicom(
        tmp_path / "a.dcm",
        MOVIE[0],
        syntax=JPEGBaseline8Bit,
        frames=frames,
        fragments=fragments,
        offset_table=offset_table,
    )
    for number, frame in enumerate(frames, start=1):
        np.testing.assert_array_equal(read_dicom(path, Reading(frame=number)), _shown(frame))


def test_one_frame_may_be_any_number_of_fragments_without_a_table(tmp_path: Path) -> None:
    frame = coded(MOVIE[0], "JPEG")
    path = write_dicom(
        tmp_path / "a.dcm", MOVIE[0], syntax=JPEGBaseline8Bit, frames=[frame], fragments=5, offset_table=False
    )
    np.testing.assert_array_equal(read_dicom(path, Reading()), _shown(frame))


def test_fragments_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    frames = [coded(frame, "JPEG") for frame in MOVIE]
    path = write_dicom(
        tmp_path / "a.dcm", MOVIE[0], syntax=JPEGBaseline8Bit, frames=frames, fragments=2, offset_table=False
    )
    assert "each frame must be one fragment" in _refusal(path, 1).reason


def test_damage_in_another_frame_does_not_matter(tmp_path: Path) -> None:
    frames = [coded(frame, "JPEG") for frame in MOVIE]
    frames[0] = frames[2] = b"no JPEG at all.."
    path = write_dicom(tmp_path / "a.dcm", MOVIE[0], syntax=JPEGBaseline8Bit, frames=frames)
    np.testing.assert_array_equal(read_dicom(path, Reading(frame=2)), _shown(frames[1]))
    assert not _refusal(path, 1).refused


@pytest.mark.parametrize("offsets", [(0, 8, 4, 12), (8, 16, 24, 32), (0, 2, 4, 6), (0, 0, 0, 0), (0, 1), (0,) * 5])
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, offsets: tuple[int, ...]) -> None:
    frames = [coded(frame, "JPEG") for frame in MOVIE]
    path = write_dicom(tmp_path / "a.dcm", MOVIE[0], syntax=JPEGBaseline8Bit, frames=frames, offset_table=False)
    empty, table = struct.pack("<HHI", 0xFFFE, 0xE000, 0), struct.pack(f"<{len(offsets)}I", *offsets)
    filled = struct.pack("<HHI", 0xFFFE, 0xE000, len(table)) + table
    path.write_bytes(path.read_bytes().replace(empty, filled, 1))
    assert "Basic Offset Table" in _refusal(path, 2).reason


def test_compressed_pixels_must_be_in_fragments(tmp_path: Path) -> None:
    frame = coded(MOVIE[0], "JPEG")
    path = write_dicom(tmp_path / "a.dcm", MOVIE[0], syntax=JPEGBaseline8Bit, frames=[frame], offset_table=False)
    sound = path.read_bytes()
    start = sound.index(b"\xe0\x7f\x10\x00OB\0\0") + 12
    assert sound[start : start + 8] == b"\xfe\xff\x00\xe0\0\0\0\0"  # the empty table
    path.write_bytes(sound[: start - 4] + struct.pack("<I", len(sound) - start) + sound[start:])
    assert "must be in fragments" in _refusal(path).reason
    path.write_bytes(sound[: start + 8] + b"\xfe\xff\xdd\xe0\0\0\0\0")
    assert "no fragments" in _refusal(path).reason
    path.write_bytes(sound[: start + 8] + b"\x28\x00\x10\x00US\2\0" + sound[start + 16 :])
    assert "fragments of PixelData are damaged" in _refusal(path).reason


def test_a_file_torn_inside_its_fragments_is_unreadable(tmp_path: Path) -> None:
    frame = coded(MOVIE[0], "JPEG")
    sound = write_dicom(tmp_path / "a.dcm", MOVIE[0], syntax=JPEGBaseline8Bit, frames=[frame]).read_bytes()
    for kept in [*range(sound.index(b"\xe0\x7f\x10\x00OB\0\0"), len(sound), 23), len(sound) - 1]:
        (tmp_path / "a.dcm").write_bytes(sound[:kept])
        assert not _refusal(tmp_path / "a.dcm").refused


def test_lengths_that_disagree_are_unreadable(tmp_path: Path) -> None:
    for changed in ({"Rows": 4}, {"Rows": 6}, {"NumberOfFrames": 3}, {"NumberOfFrames": 5}):
        refusal = _refusal(_movie(tmp_path / "a.dcm", **changed), 1)
        assert ("length of PixelData" in refusal.reason, refusal.refused) == (True, False)


def test_truncated_pixels_are_unreadable(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", MOVIE[0])
    path.write_bytes(path.read_bytes()[:-2])
    assert "truncated" in _refusal(path).reason


def test_bytes_in_big_endian_words_are_swapped_back(tmp_path: Path) -> None:
    """Frames of an odd number of bytes: every second one starts in the middle of a word."""
    layout = Layout(5, 7, 3, "RGB", planes=False, allocated=8, stored=8, frames=3, frame=0)
    plain = MOVIE[:3].tobytes() + b"\0"
    (tmp_path / "pixels").write_bytes(np.frombuffer(plain, dtype="<u2").astype(">u2").tobytes())
    for number in range(3):
        reader = ElementReader(FileBytes((tmp_path / "pixels").open("rb")), Encoding(big_endian=True))
        pixels = Element(0x7FE00010, b"OW", len(plain))
        assert native_frame(reader, pixels, replace(layout, frame=number)) == MOVIE[number].tobytes()


def test_a_frame_of_a_long_file_takes_memory_for_one_frame(tmp_path: Path) -> None:
    import tracemalloc

    path = write_dicom(tmp_path / "a.dcm", np.zeros((100, 100, 3), dtype=np.uint8), NumberOfFrames=500)
    data = dcmread(path)
    data.PixelData = bytes(500 * 30_000)
    data.save_as(path)
    del data
    tracemalloc.start()
    assert read_dicom(path, Reading(frame=400)).shape == (100, 100, 3)
    assert tracemalloc.get_traced_memory()[1] < 300_000
    tracemalloc.stop()
