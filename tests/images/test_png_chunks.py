"""Metadata of a PNG are held to a size before they take memory."""

from __future__ import annotations

import resource
import struct
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from skinaudit.images.png_chunks import MAX_INFLATED, MAX_METADATA, check_metadata, chunks, pieces
from tests.images.decoding import pixels_of, refusal
from tests.images.png_files import chunk, png

ROWS = b"".join(b"\0" + bytes(range(30)) for _ in range(5))  # 10 x 5 pixels, RGB

#: What stands before the deflated part of each kind of chunk that has one.
HEADS = {b"zTXt": b"Comment\0\0", b"iCCP": b"wide\0\0", b"iTXt": b"Comment\0\x01\0en\0Kommentar\0"}


@cache
def bomb() -> bytes:
    """128 MiB of zeros, deflated to a thousandth."""
    deflater = zlib.compressobj(9)
    return b"".join(deflater.compress(bytes(2**20)) for _ in range(128)) + deflater.flush()


@pytest.mark.parametrize("after_the_pixels", [False, True])
@pytest.mark.parametrize("kind", HEADS)
def test_metadata_that_inflate_without_end_are_refused_as_oversize_and_cost_no_memory(
    kind: bytes, after_the_pixels: bool, tmp_path: Path
) -> None:
    extra, whole = chunk(kind, HEADS[kind] + bomb()), png(10, 5, 8, 2, ROWS)
    data = whole[:-12] + extra + whole[-12:] if after_the_pixels else png(10, 5, 8, 2, ROWS, extra)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = refusal(tmp_path / "bomb.png", data)
    assert found.reason == f"PNG: oversize metadata: the {kind.decode()} chunk inflates to 1 MiB or more"
    assert found.refused
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 2**10  # KiB


@pytest.mark.parametrize("kind", HEADS)
def test_metadata_below_the_bound_change_no_pixel(kind: bytes, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(32, 127, MAX_INFLATED - 1, dtype=np.uint8).tobytes()
    data = png(10, 5, 8, 2, ROWS, chunk(kind, HEADS[kind] + zlib.compress(noise)))
    assert (
        pixels_of(tmp_path / "a.png", data).tolist() == pixels_of(tmp_path / "b.png", png(10, 5, 8, 2, ROWS)).tolist()
    )


def test_many_small_bombs_are_refused_together(tmp_path: Path) -> None:
    one = chunk(b"zTXt", HEADS[b"zTXt"] + zlib.compress(bytes(MAX_INFLATED - 1)))
    found = refusal(tmp_path / "many.png", png(10, 5, 8, 2, ROWS, one * 80))
    assert found.reason == "PNG: oversize metadata: more than 64 MiB beside the pixels"


@pytest.mark.parametrize("kind", [b"tEXt", b"iTXt", b"prVt", b"eXIf"])
def test_metadata_that_are_large_without_deflation_are_refused(kind: bytes, tmp_path: Path) -> None:
    extra = chunk(kind, b"Comment\0\0\0\0\0" + bytes(MAX_METADATA))
    assert (
        "oversize metadata: more than 64 MiB" in refusal(tmp_path / "large.png", png(10, 5, 8, 2, ROWS, extra)).reason
    )


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"no end of the name"),
        chunk(b"iTXt", b"Comment\0"),
        chunk(b"iTXt", b"Comment\0\x01\0en"),
        chunk(b"iTXt", b"Comment\0\x01\0en\0no end"),
        chunk(b"iCCP", b"wide\0\0not deflated"),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"words") + b"and more"),
    ],
)
def test_small_metadata_are_no_matter_of_size_whatever_they_are(extra: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(10, 5, 8, 2, ROWS, extra))
    with (tmp_path / "a.png").open("rb") as stream:
        check_metadata(stream)


def test_a_length_beyond_the_end_of_the_file_is_damage_and_no_size(tmp_path: Path) -> None:
    torn = png(10, 5, 8, 2, ROWS)[:-12] + struct.pack(">I", 2**31 - 1) + b"zTXtComment\0\0"
    found = refusal(tmp_path / "torn.png", torn)
    assert not found.refused
    assert "truncated" in found.reason


def test_text_of_an_ordinary_picture_passes(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a mole " * 1000, zip=True)
    text.add_itxt("Title", "Muttermal", "de", "Titel", zip=True)
    Image.new("RGB", (10, 5), "red").save(tmp_path / "a.png", pnginfo=text, icc_profile=bytes(5000))
    with (tmp_path / "a.png").open("rb") as stream:
        kinds = [kind for kind, _ in chunks(stream)]
        check_metadata(stream)
    assert kinds == [b"IHDR", b"iCCP", b"zTXt", b"iTXt", b"IDAT", b"IEND"]
    assert pixels_of(tmp_path / "a.png", (tmp_path / "a.png").read_bytes()).tolist()[0][0] == [255, 0, 0]


def test_a_body_is_given_in_pieces_and_never_beyond_the_file() -> None:
    assert [len(piece) for piece in pieces(BytesIO(bytes(100_000)), 90_000)] == [65_536, 24_464]
    assert [len(piece) for piece in pieces(BytesIO(bytes(10)), 90_000)] == [10]
