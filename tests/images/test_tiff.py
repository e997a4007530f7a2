"""TIFF of every arrangement becomes upright 8-bit RGB, or a reason."""

from __future__ import annotations

import io
import resource
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.images.decoding import ORIENTATIONS, Pixels, composed, pixels_of, refusal, rounded
from tests.images.tiff_files import DEFLATE, JPEG, LZW, NONE, PACKBITS, Samples, encode, pages, tiff


def _samples(count: int, bits: int) -> Samples:
    kind = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(count).integers(0, 2**bits, (20, 37, count)).astype(kind)


def _shown(samples: Samples) -> Pixels:
    return rounded(samples) if samples.dtype == np.uint16 else samples.astype(np.uint8)


@pytest.fixture
def smooth() -> Pixels:
    """What JPEG changes little; 48 x 64, whole tiles of 16 x 32."""
    row, column = np.mgrid[:48, :64]
    return np.stack([row * 5, column * 3, 255 - row * 5], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE, PACKBITS])
def test_strips_and_tiles_are_read_exactly(
    tmp_path: Path, compression: int, bits: int, tile: tuple[int, int] | None, planar: bool
) -> None:
    samples = _samples(3, bits)
    for order in "<>":
        data = tiff(samples, compression=compression, tile=tile, planar=planar, order=order)
        np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif", data), _shown(samples))


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("compression", [LZW, DEFLATE])
def test_differences_to_the_left_are_summed_up(tmp_path: Path, compression: int, bits: int, planar: bool) -> None:
    samples = _samples(3, bits)
    for tile, order in ((None, "<"), ((16, 16), ">")):
        data = tiff(samples, compression=compression, differences=True, planar=planar, tile=tile, order=order)
        np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif", data), _shown(samples))


@pytest.mark.parametrize("order", ["<", ">"])
def test_bigtiff_is_tiff_with_longer_numbers(tmp_path: Path, order: str) -> None:
    samples = _samples(3, 16)
    data = tiff(samples, big=True, order=order, compression=DEFLATE)
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif", data), _shown(samples))


def test_the_old_number_of_deflate_is_known(tmp_path: Path) -> None:
    samples = _samples(3, 8)
    data = tiff(samples, compression=DEFLATE, changed={259: (32946,)})
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif", data), samples)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK"])
def test_what_pillow_writes_is_what_pillow_shows(tmp_path: Path, smooth: Pixels, mode: str, compression: str) -> None:
    image = Image.fromarray(smooth).convert(mode)
    image.save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif"), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("predictor", [False, True])
def test_what_tifffile_writes_is_read_exactly(tmp_path: Path, planar: str, predictor: bool) -> None:
    samples = _samples(3, 16)
    stored = samples if planar == "contig" else samples.transpose(2, 0, 1)
    options = {"photometric": "rgb", "planarconfig": planar, "compression": "zlib", "tile": (16, 16)}
    tifffile.imwrite(tmp_path / "a.tif", stored, predictor=predictor, **options)
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif"), rounded(samples))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    for bits in (8, 16):
        samples = _samples(3, bits)
        data = tiff(samples, changed={274: (orientation,)})
        np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif", data), ORIENTATIONS[orientation](_shown(samples)))


# Colours


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_starts_at_black_or_at_white(tmp_path: Path, bits: int) -> None:
    samples = _samples(1, bits)
    black = pixels_of(tmp_path / "a.tif", tiff(samples, photometric=1))
    white = pixels_of(tmp_path / "b.tif", tiff(samples, photometric=0))
    np.testing.assert_array_equal(black, np.repeat(_shown(samples), 3, axis=2))
    np.testing.assert_array_equal(white, 255 - black)


def test_a_palette_gives_its_colours_with_8_or_16_bits(tmp_path: Path) -> None:
    samples = _samples(1, 8)
    table = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)
    for color_map in (table, table >> 8):
        data = tiff(samples, photometric=3, changed={320: tuple(color_map.ravel().tolist())})
        np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif", data), (table >> 8).T[samples[..., 0]])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("photometric", "count"), [(1, 2), (2, 4)])
def test_alpha_lies_over_white(tmp_path: Path, photometric: int, count: int, bits: int) -> None:
    samples = _samples(count, bits)
    samples[0, :, -1], samples[1, :, -1] = 0, 2**bits - 1
    shown = _shown(samples)
    over_white = np.broadcast_to(composed(shown[..., :-1], shown[..., -1]), (20, 37, 3))
    for changed in ({338: (2,)}, {}):  # a single sample that nothing declares counts as alpha
        read = pixels_of(tmp_path / "a.tif", tiff(samples, photometric=photometric, changed=changed))
        np.testing.assert_allclose(read, over_white, atol=1)
    ignored = pixels_of(tmp_path / "b.tif", tiff(samples, photometric=photometric, changed={338: (0,)}))
    np.testing.assert_array_equal(ignored, np.broadcast_to(shown[..., :-1], (20, 37, 3)))


def test_premultiplied_alpha_is_not_multiplied_again(tmp_path: Path) -> None:
    straight = _samples(4, 8)
    premultiplied = straight.copy()
    premultiplied[..., :3] = np.rint(straight[..., :3] * (straight[..., 3:] / 255))
    read = pixels_of(tmp_path / "a.tif", tiff(premultiplied, changed={338: (1,)}))
    np.testing.assert_allclose(read, composed(straight[..., :3], straight[..., 3]), atol=1)


@pytest.mark.parametrize("bits", [8, 16])
def test_the_inks_of_a_tiff_are_not_inverted(tmp_path: Path, bits: int) -> None:
    inks = _samples(4, bits)
    share = inks.astype(float) / (2**bits - 1)
    read = pixels_of(tmp_path / "a.tif", tiff(inks, photometric=5))
    np.testing.assert_allclose(read, 255 * (1 - share[..., :3]) * (1 - share[..., 3:]), atol=2)


def test_a_profile_changes_no_pixel(tmp_path: Path) -> None:
    samples = _samples(3, 8)
    data = tiff(samples, changed={34675: tuple(range(200))})
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif", data), samples)


# JPEG inside TIFF


def _jpeg(block: Pixels, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(block).save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


def _tiles(picture: NDArray[np.uint8]) -> list[Pixels]:
    return [picture[top : top + 16, left : left + 32] for top in (0, 16, 32) for left in (0, 32)]


def _jpeg_tags(photometric: int, count: int, **more: tuple[int, ...]) -> dict[int, tuple[int, ...]]:
    tags = {256: (64,), 257: (48,), 258: (8,) * count, 259: (JPEG,), 262: (photometric,), 277: (count,)}
    return tags | {322: (32,), 323: (16,)} | {int(tag[1:]): value for tag, value in more.items()}


@pytest.mark.parametrize("tag", [{}, {"_530": (2, 2)}, {"_530": (1, 1)}])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpeg_tiles_are_what_they_are_alone(
    tmp_path: Path, smooth: Pixels, subsampling: int, tag: dict[str, tuple[int, ...]]
) -> None:
    blocks = [_jpeg(block, subsampling=subsampling) for block in _tiles(smooth)]
    alone = [np.asarray(Image.open(io.BytesIO(block))) for block in blocks]
    expected = np.vstack([np.hstack(alone[row : row + 2]) for row in (0, 2, 4)])
    read = pixels_of(tmp_path / "a.tif", pages([_jpeg_tags(6, 3, **tag)], blocks))
    np.testing.assert_array_equal(read, expected)


def test_jpeg_of_rgb_of_planes_and_of_grey(tmp_path: Path, smooth: Pixels) -> None:
    rgb = pages([_jpeg_tags(2, 3)], [_jpeg(block, keep_rgb=True) for block in _tiles(smooth)])
    planes = [_jpeg(block[..., band]) for band in range(3) for block in _tiles(smooth)]
    np.testing.assert_allclose(pixels_of(tmp_path / "a.tif", rgb), smooth, atol=4)
    np.testing.assert_allclose(
        pixels_of(tmp_path / "b.tif", pages([_jpeg_tags(2, 3, _284=(2,))], planes)), smooth, atol=4
    )
    grey = pages([_jpeg_tags(1, 1)], planes[:6])
    np.testing.assert_allclose(pixels_of(tmp_path / "c.tif", grey), np.repeat(smooth[..., :1], 3, axis=2), atol=4)


def test_jpeg_with_its_tables_elsewhere(tmp_path: Path, smooth: Pixels) -> None:
    image = Image.fromarray(smooth)
    image.save(tmp_path / "a.tif", compression="jpeg", quality=95)
    assert 347 in Image.open(tmp_path / "a.tif").tag_v2
    np.testing.assert_allclose(pixels_of(tmp_path / "a.tif"), smooth, atol=4)


def test_the_last_jpeg_strip_may_be_as_high_as_the_others(tmp_path: Path, smooth: Pixels) -> None:
    blocks = [_jpeg(smooth[top : top + 16, :, 0]) for top in (0, 16, 32)]
    tags = {256: (64,), 257: (40,), 258: (8,), 259: (JPEG,), 262: (1,), 277: (1,), 278: (16,)}
    np.testing.assert_allclose(pixels_of(tmp_path / "a.tif", pages([tags], blocks))[..., 0], smooth[:40, :, 0], atol=4)


def test_a_jpeg_block_of_another_size_cut_short_or_of_other_colours_is_unreadable(
    tmp_path: Path, smooth: Pixels
) -> None:
    blocks = [_jpeg(block) for block in _tiles(smooth)]
    for wrong in (smooth[:16, :16], smooth[:8, :32], smooth[:16, :48]):
        error = refusal(tmp_path / "lie.tif", pages([_jpeg_tags(6, 3)], [*blocks[:-1], _jpeg(wrong)]))
        assert error.reason == "TIFF: a strip or tile holds a JPEG of another size"
    torn = pages([_jpeg_tags(6, 3)], [*blocks[:-1], blocks[-1][:-30]])
    assert "truncated" in refusal(tmp_path / "torn.tif", torn).reason
    other = pages([_jpeg_tags(6, 3)], [*blocks[:-1], _jpeg(smooth[:16, :32, 0])])
    assert not refusal(tmp_path / "other.tif", other).refused


# Damage and malice


@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE, PACKBITS])
def test_a_strip_with_too_few_bytes_is_unreadable(tmp_path: Path, compression: int) -> None:
    samples = _samples(3, 8)
    tags = {256: (37,), 257: (20,), 258: (8,) * 3, 259: (compression,), 262: (2,), 277: (3,), 278: (20,)}
    assert not refusal(tmp_path / "torn.tif", pages([tags], [encode(samples[:19], compression)])).refused
    assert pixels_of(tmp_path / "a.tif", pages([tags], [encode(samples, compression)])).shape == (20, 37, 3)


def test_data_that_inflate_without_end_cost_no_memory(tmp_path: Path) -> None:
    inflater = zlib.compressobj(1)
    bomb = b"".join(inflater.compress(bytes(2**20)) for _ in range(128)) + inflater.flush()  # 128 MiB
    tags = {256: (30,), 257: (20,), 258: (8,) * 3, 259: (DEFLATE,), 262: (2,), 277: (3,), 278: (20,)}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert pixels_of(tmp_path / "bomb.tif", pages([tags], [bomb])).shape == (20, 30, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 48 * 2**10  # KiB


def test_no_mutation_of_a_file_gets_past_the_decoder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = [tiff(_samples(3, 16), compression=LZW, tile=(16, 16)), tiff(_samples(3, 8), compression=DEFLATE)]
    outcomes = set()
    for turn in range(80):
        data = bytearray(files[turn % 2])
        for place in rng.integers(0, len(data), 4) if turn % 3 else len(data) - 1 - rng.integers(0, 200, 2):
            data[place] = rng.integers(0, 256)
        try:
            outcomes.add(pixels_of(tmp_path / "worn.tif", bytes(data)).shape)
        except Exception as error:  # noqa: BLE001 - which one is the question
            outcomes.add(type(error).__name__)
    assert "ImageRefused" in outcomes
    assert {outcome for outcome in outcomes if isinstance(outcome, str)} == {"ImageRefused"}
