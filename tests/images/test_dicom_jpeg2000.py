"""JPEG 2000 is decoded exactly, and its header is bounded before a decoder takes memory for it."""

from __future__ import annotations

import base64
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import HTJ2K, JPEG2000, UID, HTJ2KLossless, HTJ2KLosslessRPCL, JPEG2000Lossless

from skinaudit.images.dicom import read_dicom
from skinaudit.images.dicom_jpeg2000 import read_codestream
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused
from tests.images.dicom_files import coded, palette, write_dicom, write_grey

Pixels = NDArray[np.uint8]
PICTURE: Pixels = np.random.default_rng(9).integers(0, 256, (40, 32, 3), dtype=np.uint8)
STREAM = coded(PICTURE, "JPEG2000", no_jp2=True, mct=1)
PLAIN = coded(PICTURE, "JPEG2000", no_jp2=True, mct=0)

#: High-throughput coding of ``HT_PICTURE``, by OpenJPH 0.26. Pillow does not write it.
HT_STREAM = base64.b85decode(
    "|4;u>053oQ000080000600000000000000800006000000000000RdB0S5sA2LS>9Pyh%30ssI21OHM03;+TE0RaUB1V91*TmTawP*_-4SXfwCSXf"
    "wCSWr+<|6~9c00B>MWo}APNFY{aav(4+GBz$VF8`1K3IG5A0074T0soW05`f_VhjakI5&-=ta{#~+fcXH&bN~PV00000zzJXkpzHvLbO6o)2Xp|y319"
    "@Eq5%hV0J#ANbO68!U<9BL0f%$|Qvru`0Kf^L1b~$O00MLX?FushzzLuPfDrTmf^-1n3Nrw}37`ak2EzdYbO4AFGXTI7z!e~7_M;=hbpWpGy1)PdzP1"
    "3s6%YkTLWrOOFamY}>$<MM00F+X0KgRx1yEY+paL)gb^y=k^ZCFKfxfl?|Je"
)
_Y, _X = np.mgrid[:6, :8]
HT_PICTURE: Pixels = np.stack([_X * 30, _Y * 40, (_X + _Y) * 18], axis=-1).astype(np.uint8)


# Places in the stream: SIZ starts at 2; after its mark, length and capabilities come the sizes.
WIDTH, HEIGHT, LEFT, TILE_WIDTH, COMPONENTS = 8, 12, 16, 24, 42
CODING = STREAM.index(b"\xff\x52") + 4


def _write(
    path: Path, stream: bytes, interpretation: str = "YBR_RCT", pixels: Pixels = PICTURE, **more: object
) -> Path:
    even = stream + b"\0" * (len(stream) % 2)
    settings = {"syntax": JPEG2000Lossless, "frames": [even], "PhotometricInterpretation": interpretation} | more
    return write_dicom(path, pixels, **settings)  # type: ignore[arg-type]


def _refusal(path: Path) -> ImageRefused:
    with pytest.raises(ImageRefused) as caught:
        read_dicom(path, Reading())
    return caught.value


def _changed(place: int, value: bytes, stream: bytes = STREAM) -> bytes:
    return stream[:place] + value + stream[place + len(value) :]


@pytest.mark.parametrize("interpretation", ["RGB", "YBR_RCT", "YBR_ICT", "YBR_FULL"])
def test_the_codestreams_own_transform_counts(tmp_path: Path, interpretation: str) -> None:
    np.testing.assert_array_equal(read_dicom(_write(tmp_path / "a.dcm", STREAM, interpretation), Reading()), PICTURE)


@pytest.mark.parametrize("interpretation", ["RGB", "YBR_RCT", "YBR_ICT"])
def test_without_a_transform_components_are_rgb(tmp_path: Path, interpretation: str) -> None:
    np.testing.assert_array_equal(read_dicom(_write(tmp_path / "a.dcm", PLAIN, interpretation), Reading()), PICTURE)


def test_without_a_transform_ybr_full_is_converted(tmp_path: Path) -> None:
    expected = read_dicom(write_dicom(tmp_path / "a.dcm", PICTURE, PhotometricInterpretation="YBR_FULL"), Reading())
    np.testing.assert_array_equal(read_dicom(_write(tmp_path / "b.dcm", PLAIN, "YBR_FULL"), Reading()), expected)


@pytest.mark.parametrize("syntax", [HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL])
def test_high_throughput_coding_is_read_exactly(tmp_path: Path, syntax: UID) -> None:
    path = _write(tmp_path / "a.dcm", HT_STREAM, pixels=HT_PICTURE, syntax=syntax)
    np.testing.assert_array_equal(read_dicom(path, Reading()), HT_PICTURE)


def test_a_codestream_in_its_container_is_read(tmp_path: Path) -> None:
    boxed = coded(PICTURE, "JPEG2000", no_jp2=False, mct=1)
    assert boxed[4:8] == b"jP  "
    np.testing.assert_array_equal(read_dicom(_write(tmp_path / "a.dcm", boxed), Reading()), PICTURE)


@pytest.mark.parametrize("length", [0, 1])
def test_a_box_may_have_a_long_length_or_none(length: int) -> None:
    signature = struct.pack(">I4sI", 12, b"jP  ", 0x0D0A870A)
    start = struct.pack(">I4s", length, b"jp2c")
    if length == 1:
        start += struct.pack(">Q", 16 + len(STREAM))
    assert read_codestream(signature + start + STREAM).data == STREAM


@pytest.mark.parametrize(
    "boxes",
    [b"", struct.pack(">I4s", 7, b"ftyp"), struct.pack(">I4s", 99, b"jp2c"), struct.pack(">I4s", 8, b"free") * 2000],
)
def test_a_container_without_a_codestream_is_damaged(boxes: bytes) -> None:
    with pytest.raises(ImageRefused, match="header of the JPEG 2000 codestream is damaged"):
        read_codestream(struct.pack(">I4sI", 12, b"jP  ", 0x0D0A870A) + boxes)


@pytest.mark.parametrize("stored", [8, 16])
def test_grey_is_read_exactly(tmp_path: Path, stored: int) -> None:
    kind = np.uint8 if stored == 8 else np.uint16
    grey = np.random.default_rng(2).integers(0, 2**stored, (16, 16)).astype(kind)
    stream = coded(grey, "JPEG2000", no_jp2=True)
    path = write_grey(tmp_path / "a.dcm", grey, stored, syntax=JPEG2000Lossless, frames=[stream])
    np.testing.assert_array_equal(
        read_dicom(path, Reading()), read_dicom(write_grey(tmp_path / "b.dcm", grey, stored), Reading())
    )


@pytest.mark.parametrize(("stored", "allocated"), [(12, 16), (10, 16), (5, 8)])
def test_fewer_bits_than_a_word_are_read_at_their_depth(tmp_path: Path, stored: int, allocated: int) -> None:
    """Pillow writes 8 and 16 bits; what is coded is the distance from the middle of the range, whatever the depth."""
    kind = np.uint8 if allocated == 8 else np.uint16
    grey = np.random.default_rng(2).integers(0, 2**stored, (16, 16)).astype(kind)
    stream = coded((grey + 2 ** (allocated - 1) - 2 ** (stored - 1)).astype(kind), "JPEG2000", no_jp2=True)
    shallow = _changed(COMPONENTS, bytes([stored - 1]), stream)
    path = write_grey(tmp_path / "a.dcm", grey, stored, syntax=JPEG2000Lossless, frames=[shallow])
    np.testing.assert_array_equal(
        read_dicom(path, Reading()), read_dicom(write_grey(tmp_path / "b.dcm", grey, stored), Reading())
    )
    path = write_grey(tmp_path / "a.dcm", grey, stored, syntax=JPEG2000Lossless, frames=[stream])
    assert _refusal(path).reason == "DICOM: BitsStored is not what the compressed pixels declare"


def test_palette_entries_may_be_coded(tmp_path: Path) -> None:
    entries = np.random.default_rng(3).integers(0, 256, (3, 256), dtype=np.uint8)
    indexes = PICTURE[..., 0]
    stream = coded(indexes, "JPEG2000", no_jp2=True)
    colours = palette(*(row.tobytes() for row in entries), count=256, first=0, bits=8)
    path = write_grey(
        tmp_path / "a.dcm", indexes, 8, "PALETTE COLOR", syntax=JPEG2000Lossless, frames=[stream], **colours
    )
    np.testing.assert_array_equal(read_dicom(path, Reading()), entries[:, indexes].transpose(1, 2, 0))


@pytest.mark.parametrize("size", [1, 31, 60_000, 2**32 - 1])
def test_a_codestream_of_another_size_is_not_decoded(tmp_path: Path, size: int) -> None:
    for place, name in ((WIDTH, "Columns"), (HEIGHT, "Rows")):
        stream = _changed(TILE_WIDTH, struct.pack(">II", 2**32 - 1, 2**32 - 1))  # one tile, whatever the size
        refusal = _refusal(_write(tmp_path / "a.dcm", _changed(place, struct.pack(">I", size), stream)))
        assert refusal.reason == f"DICOM: {name} is not what the compressed pixels declare"


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (LEFT, struct.pack(">I", 1), "offset in its reference grid"),
        (TILE_WIDTH, struct.pack(">II", 0, 32), "damaged"),
        (COMPONENTS, b"\x87", "signed"),
        (COMPONENTS + 3, b"\x05", "different depth"),
        (COMPONENTS + 1, b"\x02", "sampled coarser"),
        (COMPONENTS + 8, b"\x00", "sampled coarser"),
        (COMPONENTS - 2, b"\0\4", "damaged"),
        (CODING + 5, b"\x21", "damaged"),
        (CODING + 6, b"\0\0", "code blocks of fewer than 256"),
        (2, b"\xff\x64", "damaged"),
        (0, b"\xff\xd8", "damaged"),
        (CODING - 4, b"\xff\x64", "damaged"),
        (CODING - 4, b"\xff\x53", "coded differently"),
        (CODING - 2, b"\xff\xff", "damaged"),
    ],
)
def test_a_header_that_asks_for_more_than_a_picture_needs_is_refused(place: int, value: bytes, reason: str) -> None:
    with pytest.raises(ImageRefused, match=reason):
        read_codestream(_changed(place, value))


def test_tiles_and_precincts_are_counted_before_they_cost_memory() -> None:
    big = _changed(WIDTH, struct.pack(">II", 5000, 5000))
    with pytest.raises(ImageRefused, match="more than 8192 tiles"):
        read_codestream(_changed(TILE_WIDTH, struct.pack(">II", 32, 32), big))
    whole = bytearray(_changed(TILE_WIDTH, struct.pack(">II", 5000, 5000), big))
    whole[CODING] |= 1  # precincts are stated: one byte a resolution
    levels = whole[CODING + 5]
    start, end = CODING, CODING + 10
    for exponents, sound in ((0x77, True), (0x33, False), (0x00, False)):
        segment = bytes(whole[start:end]) + bytes([exponents]) * (levels + 1)
        stream = bytes(whole[: start - 2]) + struct.pack(">H", len(segment) + 2) + segment + bytes(whole[end:])
        if sound:
            assert read_codestream(stream).columns == 5000
        else:
            with pytest.raises(ImageRefused, match="precincts"):
                read_codestream(stream)
    with pytest.raises(ImageRefused, match="damaged"):
        read_codestream(bytes(whole))  # stated, but not there


def test_two_headers_of_one_kind_are_damage() -> None:
    size = STREAM[2 : 2 + 2 + int.from_bytes(STREAM[4:6], "big")]
    with pytest.raises(ImageRefused, match="damaged"):
        read_codestream(STREAM[:2] + size + STREAM[2:])
    with pytest.raises(ImageRefused, match="damaged"):
        read_codestream(STREAM[:2] + size + b"\xff\x64\0\4\0\1" * 20_000)


@pytest.mark.parametrize("kept", [0.02, 0.2, 0.6])
def test_a_torn_codestream_is_unreadable(tmp_path: Path, kept: float) -> None:
    path = _write(tmp_path / "a.dcm", STREAM[: int(len(STREAM) * kept)], syntax=JPEG2000)
    assert not _refusal(path).refused


def test_a_lying_header_costs_no_memory(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.dcm", _changed(WIDTH, struct.pack(">II", 7000, 7000)))
    tracemalloc.start()
    assert "tiles" in _refusal(path).reason or "declare" in _refusal(path).reason
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
