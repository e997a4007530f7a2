"""Every number of a TIFF page is held against the rules before a pixel is decoded."""

from __future__ import annotations

import io

import numpy as np
import pytest

from skinaudit.images.refusal import ImageRefused
from skinaudit.images.tiff_directory import read_page
from skinaudit.images.tiff_layout import Alpha, Compression, Layout, Photometric, layout_of
from tests.images.tiff_files import DEFLATE, JPEG, NONE, Tags, pages, tiff

RGB = np.zeros((20, 30, 3), np.uint8)


def _layout(data: bytes, max_pixels: int = 10_000) -> Layout:
    return layout_of(read_page(io.BytesIO(data), len(data)), len(data), max_pixels)


def _refusal(data: bytes, max_pixels: int = 10_000) -> ImageRefused:
    with pytest.raises(ImageRefused) as caught:
        _layout(data, max_pixels)
    return caught.value


def test_a_page_of_strips() -> None:
    layout = _layout(tiff(RGB, rows=7))
    assert (layout.width, layout.height, layout.bits, layout.samples, layout.colours) == (30, 20, 8, 3, 3)
    assert (layout.across, layout.down, layout.planes, layout.block_width, layout.block_height) == (1, 3, 1, 30, 7)
    assert (layout.photometric, layout.compression, layout.alpha) == (Photometric.RGB, Compression.NONE, Alpha.NONE)
    assert layout.lengths == (630, 630, 540)


def test_a_page_of_tiles_in_planes() -> None:
    layout = _layout(tiff(RGB, tile=(16, 16), planar=True))
    assert (layout.across, layout.down, layout.planes, layout.tiled) == (2, 2, 3, True)
    assert len(layout.offsets) == 12


def test_rows_per_strip_may_be_missing_or_larger_than_the_picture() -> None:
    assert _layout(tiff(RGB, rows=20, without=(278,))).block_height == 20
    assert _layout(tiff(RGB, rows=20, changed={278: (2**32 - 1,)})).block_height == 20


def test_a_predictor_counts_only_where_it_is_defined() -> None:
    assert _layout(tiff(RGB, compression=DEFLATE, changed={317: (2,)})).differences
    assert not _layout(tiff(RGB, compression=NONE, changed={317: (2,)})).differences


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({262: (8,)}, "PhotometricInterpretation 8"),
        ({262: (32803,)}, "PhotometricInterpretation 32803"),
        ({259: (6,)}, "compression 6"),
        ({259: (50000,)}, "compression 50000"),
        ({266: (2,)}, "FillOrder 2"),
        ({258: (1, 1, 1)}, "only 8 and 16 bits"),
        ({258: (32, 32, 32)}, "only 8 and 16 bits"),
        ({258: (8, 8, 16)}, "only 8 and 16 bits"),
        ({339: (2, 2, 2)}, "only unsigned"),
        ({339: (3, 3, 3)}, "only unsigned"),
        ({259: (5,), 317: (3,)}, "predictor 3"),
        ({262: (6,)}, "YCbCr"),
        ({262: (6,), 259: (JPEG,), 284: (2,)}, "YCbCr"),
        ({262: (1,)}, "does not say what its 3 samples"),
        ({262: (1,), 338: (7, 0)}, "ExtraSamples 7"),
    ],
)
def test_variants_that_the_rules_leave_out_are_refused(changed: Tags, reason: str) -> None:
    # 284 makes planes, which need as many strips again.
    error = _refusal(tiff(RGB, changed=changed, planar=284 in changed))
    assert error.refused
    assert reason in error.reason


@pytest.mark.parametrize(
    ("samples", "options", "reason"),
    [
        (4, {"photometric": 5, "changed": {332: (2,)}}, "inks other than CMYK"),
        (5, {"photometric": 5, "changed": {338: (2,)}}, "CMYK with transparency"),
        (4, {"photometric": 5, "compression": JPEG}, "JPEG compression"),
        (4, {"photometric": 2, "compression": JPEG, "changed": {338: (2,)}}, "JPEG compression"),
        (1, {"photometric": 3}, "palettes of 256 colours"),
        (1, {"photometric": 3, "changed": {320: (0,) * 48}}, "palettes of 256 colours"),
    ],
)
def test_combinations_that_the_rules_leave_out_are_refused(samples: int, options: dict, reason: str) -> None:  # type: ignore[type-arg]
    assert reason in _refusal(tiff(np.zeros((4, 4, samples), np.uint8), **options)).reason


@pytest.mark.parametrize(
    "changed",
    [
        {277: (2,)},
        {277: (8,)},
        {338: (0,)},
        {284: (3,)},
        {278: (0,)},
        {278: (20,)},
        {257: (40,)},
        {257: (0,)},
        {274: (9,)},
        {273: (8, 8)},
        {279: (630, 630, 2**31)},
        {273: (8, 8, 2**31)},
    ],
)
def test_numbers_that_contradict_each_other_are_unreadable(changed: Tags) -> None:
    assert not _refusal(tiff(RGB, changed=changed)).refused


@pytest.mark.parametrize("tag", [256, 257, 262, 273, 279])
def test_what_every_page_needs_is_asked_for(tag: int) -> None:
    assert not _refusal(tiff(RGB, changed={tag: ()})).refused


def test_the_cap_holds_for_the_picture_and_for_the_padding_of_its_tiles() -> None:
    assert _layout(tiff(RGB), 600)
    assert "30 x 20" in _refusal(tiff(RGB), 599).reason
    assert _layout(tiff(RGB, tile=(32, 32)), 1023)  # a little padding is no bomb
    wide = pages([{256: (30,), 257: (20,), 258: (8,), 262: (1,), 277: (1,), 322: (2**20,), 323: (1,)}], [b"x"] * 20)
    assert "tiles of 20971520 pixels" in _refusal(wide).reason


def test_blocks_may_share_bytes_but_not_a_whole_file_each() -> None:
    tags = {256: (32,), 257: (32,), 258: (8,), 262: (1,), 277: (1,), 322: (16,), 323: (16,)}
    blank = bytes(256)
    assert _layout(pages([tags | {324: (8,) * 4, 325: (256,) * 4}], [blank]))
    greedy = pages([tags | {324: (8,) * 4, 325: (2000,) * 4}], [bytes(2000)])
    assert "over each other" in _refusal(greedy).reason


def test_the_number_of_strips_is_capped() -> None:
    tall = pages([{256: (1,), 257: (200_000,), 258: (8,), 262: (1,), 277: (1,), 278: (1,)}], [b"x"])
    assert "more than 131072 strips" in _refusal(tall, 10**6).reason
