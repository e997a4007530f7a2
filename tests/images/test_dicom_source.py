"""Bytes of a file are read forward, and a deflated stream grows no further than a picture can need."""

from __future__ import annotations

import io
import tracemalloc
import zlib
from pathlib import Path

import pytest

from skinaudit.images.dicom_source import FileBytes, InflatedBytes, exactly
from skinaudit.images.refusal import ImageRefused

TEXT = bytes(range(256)) * 1000


def _deflated(data: bytes) -> io.BytesIO:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return io.BytesIO(squeeze.compress(data) + squeeze.flush())


def test_inflated_bytes_are_those_that_were_deflated() -> None:
    source = InflatedBytes(_deflated(TEXT), 1000)
    assert source.take(3) == TEXT[:3]
    source.skip(200_000)
    assert source.take(500) == TEXT[200_003:200_503]
    assert source.take(10**6) == TEXT[200_503:]
    assert source.take(1) == b""


def test_a_stream_without_its_end_gives_what_is_there() -> None:
    source = InflatedBytes(io.BytesIO(_deflated(TEXT).getvalue()[:200]), 1000)
    assert TEXT.startswith(source.take(len(TEXT)))
    with pytest.raises(ImageRefused, match="truncated"):
        source.skip(1)


def test_bytes_that_are_not_deflated_are_damaged() -> None:
    with pytest.raises(ImageRefused, match="deflated data are damaged"):
        InflatedBytes(io.BytesIO(b"\xff" * 100), 1000).take(10)


@pytest.mark.parametrize("way", ["take", "skip"])
def test_a_bomb_ends_at_the_cap_and_takes_no_memory(way: str) -> None:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(bytes(2**20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    bomb = InflatedBytes(io.BytesIO(block * 200), 1000)  # 200 MiB; a picture of 1000 pixels may need 64 MiB
    tracemalloc.start()
    for _ in range(64):
        getattr(bomb, way)(2**20)
    with pytest.raises(ImageRefused, match="larger than a picture of 1000 pixels can need"):
        getattr(bomb, way)(2**20)
    assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    tracemalloc.stop()


def test_a_file_is_read_and_skipped_up_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    with (tmp_path / "a").open("rb") as stream:
        source = FileBytes(stream)
        assert (source.peek(2), source.take(2)) == (b"01", b"01")
        source.skip(5)
        with pytest.raises(ImageRefused, match="truncated"):
            source.skip(4)
        with pytest.raises(ImageRefused, match="truncated"):
            exactly(source, 2**40)
        assert (source.peek(2), source.take(2)) == (b"", b"")
