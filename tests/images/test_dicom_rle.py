"""Run lengths are unpacked into exactly what the header declares."""

from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import pytest

from skinaudit.images.dicom_layout import Layout
from skinaudit.images.dicom_rle import rle_samples
from skinaudit.images.refusal import ImageRefused


def _layout(rows: int, columns: int, samples: int = 1, allocated: int = 8) -> Layout:
    return Layout(rows, columns, samples, "MONOCHROME2", False, allocated, allocated, frames=1, frame=0)


def _frame(*segments: bytes, count: int | None = None) -> bytes:
    offsets = [64 + sum(map(len, segments[:number])) for number in range(len(segments))]
    head = [len(segments) if count is None else count, *offsets]
    return struct.pack("<16I", *head, *[0] * (16 - len(head))) + b"".join(segments)


def test_literal_and_repeated_runs_and_the_code_that_says_nothing() -> None:
    segment = bytes([2, 10, 11, 12]) + bytes([128]) + bytes([254, 7]) + bytes([0, 9]) + bytes([0])  # and a pad byte
    samples = rle_samples(_frame(segment), _layout(1, 7))
    assert samples[..., 0].tolist() == [[10, 11, 12, 7, 7, 7, 9]]


def test_the_longest_runs() -> None:
    literal = bytes(range(128))
    samples = rle_samples(_frame(bytes([127]) + literal + bytes([129, 5])), _layout(2, 128))
    assert samples[0, :, 0].tolist() == list(literal)
    assert samples[1, :, 0].tolist() == [5] * 128


def test_segments_are_upper_bytes_first_and_colour_by_colour() -> None:
    wide = rle_samples(_frame(bytes([1, 0x12, 0xFF]), bytes([1, 0x34, 0x00])), _layout(1, 2, allocated=16))
    assert wide[..., 0].tolist() == [[0x1234, 0xFF00]]
    colours = rle_samples(_frame(b"\1\1\2", b"\1\3\4", b"\1\5\6"), _layout(1, 2, samples=3))
    assert colours.tolist() == [[[1, 3, 5], [2, 4, 6]]]


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\1" * 63,
        _frame(b"\1\1\2")[:-1],
        _frame(b"\2\1\2"),
        _frame(b"\0\1"),
        _frame(b"\2\1\2\3"),
        _frame(b"\xfe\1"),
        _frame(b"\x80" * 40),
        struct.pack("<16I", 1, 63, *[0] * 14) + b"\1\1\2",
        struct.pack("<16I", 1, 2**31, *[0] * 14) + b"\1\1\2",
        _frame(b"\1\1\2", count=2),
        _frame(b"\1\1\2", count=2**32 - 1),
    ],
)
def test_damage_is_unreadable(frame: bytes) -> None:
    with pytest.raises(ImageRefused, match="RLE") as caught:
        rle_samples(frame, _layout(1, 2))
    assert not caught.value.refused


def test_segments_that_go_backwards_are_damage() -> None:
    frame = struct.pack("<16I", 3, 70, 64, 67, *[0] * 12) + b"\1\1\2" * 3
    with pytest.raises(ImageRefused, match="RLE"):
        rle_samples(frame, _layout(1, 2, samples=3))


def test_a_segment_that_unpacks_to_far_more_is_left_packed() -> None:
    bomb = _frame(bytes([129, 0]) * 2**20)  # 128 MiB
    tracemalloc.start()
    assert rle_samples(bomb, _layout(16, 128)).shape == (16, 128, 1)
    assert tracemalloc.get_traced_memory()[1] < len(bomb) + 2**20
    tracemalloc.stop()
    with pytest.raises(ImageRefused):
        rle_samples(bomb, _layout(16, 127))  # a run that crosses the end


def test_a_picture_of_random_numbers_comes_back() -> None:
    numbers = np.random.default_rng(1).integers(0, 3, 5000, dtype=np.uint8)
    segment = b"".join(bytes([255 if draw % 2 else 0]) + bytes([draw]) for draw in numbers)
    expected = [draw for draw in numbers for _ in range(2 if draw % 2 else 1)]
    samples = rle_samples(_frame(segment), _layout(1, len(expected)))
    assert samples[0, :, 0].tolist() == expected
