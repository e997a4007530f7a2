"""A JPEG stream's own marks tell what its components are, and its header cannot lie about its size."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import get_frame
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

from skinaudit.images.dicom import read_dicom
from skinaudit.images.dicom_jpeg import jpeg_samples
from skinaudit.images.dicom_layout import Layout
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused
from tests.images.dicom_files import coded, write_dicom, write_grey

Pixels = NDArray[np.uint8]

# Saturated colours in blocks: red, green and blue taken for YCbCr, or the reverse, look nothing like it.
COLOURS: Pixels = np.array([[(230, 20, 30), (20, 200, 40)], [(40, 30, 220), (210, 200, 20)]], dtype=np.uint8)
PICTURE: Pixels = COLOURS.repeat(24, axis=0).repeat(16, axis=1)

YBR = coded(PICTURE, "JPEG", quality=95, subsampling=0)  # JFIF, components 1, 2, 3
COARSE = coded(PICTURE, "JPEG", quality=95, subsampling=2)
RGB = coded(PICTURE, "JPEG", quality=95, keep_rgb=True)  # Adobe's segment, components R, G, B


def _segments(stream: bytes) -> list[tuple[int, bytes]]:
    """(mark, whole segment) up to the scan, which is the last one with all that follows."""
    found, place = [(0xD8, stream[:2])], 2
    while stream[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(stream[place + 2 : place + 4], "big")
        found.append((stream[place + 1], stream[place:end]))
        place = end
    return [*found, (0xDA, stream[place:])]


def _bare(stream: bytes, names: bytes | None = None) -> bytes:
    """Without JFIF and Adobe's segment, and with components of other names."""
    parts = []
    for mark, segment in _segments(stream):
        part = bytearray(segment)
        if names and mark == 0xC0:
            part[10:19:3] = names
        if names and mark == 0xDA:
            part[5:11:2] = names
        if mark not in {0xE0, 0xEE}:
            parts.append(bytes(part))
    return b"".join(parts)


def _with_segment(stream: bytes, mark: int, body: bytes) -> bytes:
    return stream[:2] + struct.pack(">BBH", 0xFF, mark, len(body) + 2) + body + stream[2:]


def _even(stream: bytes) -> bytes:
    return stream + b"\0" * (len(stream) % 2)


def _write(path: Path, stream: bytes, **changed: object) -> Path:
    return write_dicom(path, PICTURE, syntax=JPEGBaseline8Bit, frames=[_even(stream)], **changed)  # type: ignore[arg-type]


def _read(tmp_path: Path, stream: bytes, interpretation: str) -> Pixels:
    return read_dicom(_write(tmp_path / "a.dcm", stream, PhotometricInterpretation=interpretation), Reading())


def _refusal(path: Path) -> ImageRefused:
    with pytest.raises(ImageRefused) as caught:
        read_dicom(path, Reading())
    return caught.value


def _looks_right(pixels: Pixels) -> bool:
    centres = pixels[12::24, 8::16].astype(int)
    return bool(np.abs(centres - COLOURS).max() <= 8)


def test_the_streams_are_what_their_names_say() -> None:
    assert [segment[4:8] for mark, segment in _segments(YBR) if mark == 0xE0] == [b"JFIF"]
    assert [segment[4:9] for mark, segment in _segments(RGB) if mark == 0xEE] == [b"Adobe"]
    assert next(segment[10:19:3] for mark, segment in _segments(RGB) if mark == 0xC0) == b"RGB"


@pytest.mark.parametrize("interpretation", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize(
    "stream",
    [
        YBR,
        COARSE,
        RGB,
        _bare(RGB),
        _bare(RGB, b"rgb"),
        _bare(COARSE),
        _with_segment(_bare(YBR), 0xEE, b"Adobe\0\x64\0\0\0\0\1"),
        _with_segment(_bare(RGB, b"\1\2\3"), 0xEE, b"Adobe\0\x64\0\0\0\0\0"),
    ],
    ids=["JFIF", "JFIF, coarse", "Adobe 0", "named RGB", "named rgb", "coarse", "Adobe 1", "Adobe 0, named 123"],
)
def test_marks_of_the_stream_count_whatever_the_header_says(tmp_path: Path, stream: bytes, interpretation: str) -> None:
    assert _looks_right(_read(tmp_path, stream, interpretation))


def test_a_stream_without_marks_is_what_the_header_says(tmp_path: Path) -> None:
    assert _looks_right(_read(tmp_path, _bare(YBR), "YBR_FULL"))
    assert _looks_right(_read(tmp_path, _bare(YBR), "YBR_FULL_422"))
    assert _looks_right(_read(tmp_path, _bare(RGB, b"\1\2\3"), "RGB"))
    assert not _looks_right(_read(tmp_path, _bare(YBR), "RGB"))
    assert not _looks_right(_read(tmp_path, _bare(RGB, b"\1\2\3"), "YBR_FULL"))


def test_what_is_converted_is_what_pillow_shows(tmp_path: Path) -> None:
    shown = np.asarray(Image.open(io.BytesIO(COARSE)).convert("RGB"))
    np.testing.assert_array_equal(_read(tmp_path, COARSE, "YBR_FULL_422"), shown)


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_grey_streams_are_read(tmp_path: Path, interpretation: str) -> None:
    grey = PICTURE[..., 1]
    path = write_grey(
        tmp_path / "a.dcm", grey, 8, interpretation, syntax=JPEGBaseline8Bit, frames=[coded(grey, "JPEG", quality=98)]
    )
    expected = grey if interpretation == "MONOCHROME2" else 255 - grey
    assert np.abs(read_dicom(path, Reading())[12::24, 8::16, 0].astype(int) - expected[12::24, 8::16]).max() <= 4


def test_the_extended_process_is_read_with_eight_bits_a_sample(tmp_path: Path) -> None:
    extended = YBR.replace(b"\xff\xc0\x00\x11", b"\xff\xc1\x00\x11")
    path = write_dicom(tmp_path / "a.dcm", PICTURE, syntax=JPEGExtended12Bit, frames=[_even(extended)])
    assert _looks_right(read_dicom(path, Reading()))


def test_twelve_bits_a_sample_are_refused() -> None:
    path = get_testdata_file("JPGExtended.dcm", download=False)
    if path is None:
        pytest.skip("this release of pydicom comes without its sample files")
    data = dcmread(path)
    layout = Layout(data.Rows, data.Columns, 1, "MONOCHROME2", False, 16, 12, frames=1, frame=0)
    with pytest.raises(ImageRefused, match="more than 8 bits"):
        jpeg_samples(get_frame(data.PixelData, 0, number_of_frames=1), layout)


def _frame_of(stream: bytes, mark: int = 0xC0) -> int:
    """Where the start-of-frame segment lies."""
    return stream.index(bytes([0xFF, mark, 0, 17]))


@pytest.mark.parametrize(("place", "name"), [(5, "Rows"), (7, "Columns")])
@pytest.mark.parametrize("size", [0, 1, 47, 65535])
def test_a_stream_of_another_size_is_not_decoded(tmp_path: Path, place: int, name: str, size: int) -> None:
    start = _frame_of(YBR) + place
    stream = YBR[:start] + struct.pack(">H", size) + YBR[start + 2 :]
    refusal = _refusal(_write(tmp_path / "a.dcm", stream))
    assert refusal.reason == f"DICOM: {name} is not what the compressed pixels declare"


def test_a_grey_stream_is_no_colour_picture(tmp_path: Path) -> None:
    refusal = _refusal(_write(tmp_path / "a.dcm", coded(PICTURE[..., 0], "JPEG")))
    assert refusal.reason == "DICOM: SamplesPerPixel is not what the compressed pixels declare"


@pytest.mark.parametrize("mark", [0xC2, 0xC3, 0xC9, 0xF7])
def test_a_stream_of_another_process_is_refused(tmp_path: Path, mark: int) -> None:
    start = _frame_of(YBR)
    stream = YBR[: start + 1] + bytes([mark]) + YBR[start + 2 :]
    assert "another process" in _refusal(_write(tmp_path / "a.dcm", stream)).reason


def test_a_second_header_does_not_change_the_size(tmp_path: Path) -> None:
    start = _frame_of(YBR)
    other = bytearray(YBR[start : start + 19])
    other[5:9] = struct.pack(">HH", 30000, 30000)
    stream = YBR[: start + 19] + bytes(other) + YBR[start + 19 :]
    assert not _refusal(_write(tmp_path / "a.dcm", stream)).refused


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xda\0\x08\1\1\0\0\x3f\0",
        b"\xff\xd8\xff\xe0\0\1",
        b"\xff\xd8\xff\xe0\xff\xff",
        b"\xff\xd8\0\0\0\0",
        b"\xff\xd8\xff\xc0\0\x05\x08\0\1",
        b"\xff\xd8\xff\xc0\0\x0b\x08\0\1\0\1\3\1\x11\0",
        b"\xff\xd8" + b"\xff\xfe\0\2" * 20_000,
        b"\xff\xd8" + b"\xff" * 1000,
    ],
)
def test_a_damaged_header_is_unreadable(tmp_path: Path, stream: bytes) -> None:
    refusal = _refusal(_write(tmp_path / "a.dcm", stream or b"\0\0"))
    assert (refusal.reason, refusal.refused) == ("DICOM: the header of the JPEG stream is damaged", False)


def test_fill_bytes_and_segments_before_the_frame_are_passed_over(tmp_path: Path) -> None:
    stream = _with_segment(YBR[:2] + b"\xff\xff" + YBR[2:], 0xE1, b"Exif\0\0" + b"Meyer" * 100)
    assert _looks_right(_read(tmp_path, stream, "RGB"))


def test_scans_without_number_are_refused(tmp_path: Path) -> None:
    scan = next(segment for mark, segment in _segments(YBR) if mark == 0xDA)[:14]
    stream = YBR[: YBR.index(b"\xff\xda")] + scan * 201 + YBR[YBR.index(b"\xff\xda") :]
    assert "more than 200 scans" in _refusal(_write(tmp_path / "a.dcm", stream)).reason


@pytest.mark.parametrize("kept", [0.4, 0.7, 0.95])
def test_a_torn_stream_is_unreadable(tmp_path: Path, kept: float) -> None:
    refusal = _refusal(_write(tmp_path / "a.dcm", YBR[: int(len(YBR) * kept)]))
    assert not refusal.refused
