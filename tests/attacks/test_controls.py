from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from skinaudit.attacks.controls import HARMLESS, half_pixel_shift, harmless, jpeg, random_flow, signed_noise
from skinaudit.attacks.flow import Flow

quick = settings(deadline=None, max_examples=40, derandomize=True)
Photographs = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9).map(lambda s: (*s, 3)))


def photograph(height: int = 24, width: int = 32) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 5, columns * 4, (rows + columns) * 2], 2).astype(np.uint8)


@quick
@given(pixels=Photographs, levels=st.integers(1, 64), seed=st.integers(0, 2**31))
def test_noise_moves_every_value_by_exactly_its_levels_inside_the_range(
    pixels: np.ndarray, levels: int, seed: int
) -> None:
    noisy = signed_noise(pixels, levels, seed)
    up = np.minimum(pixels.astype(int) + levels, 255)
    down = np.maximum(pixels.astype(int) - levels, 0)
    assert noisy.dtype == np.uint8
    assert noisy.shape == pixels.shape
    assert ((noisy == up) | (noisy == down)).all()


def test_noise_goes_both_ways_and_follows_the_seed() -> None:
    grey = np.full((40, 40, 3), 128, np.uint8)
    noisy = signed_noise(grey, 8, 1)
    assert 0.45 < (noisy == 136).mean() < 0.55
    np.testing.assert_array_equal(noisy, signed_noise(grey, 8, 1))
    assert (noisy != signed_noise(grey, 8, 2)).any()


def test_a_random_flow_is_a_flow_field_of_that_length() -> None:
    pixels, limit = photograph(), 1.7
    angle = np.random.default_rng(5).uniform(0, 2 * np.pi, pixels.shape[:2])
    z = torch.from_numpy(limit * np.stack([np.sin(angle), np.cos(angle)]))[None]
    x0 = torch.from_numpy(pixels).permute(2, 0, 1)[None].double() / 255
    expected = (Flow(limit).apply(x0, z)[0].permute(1, 2, 0) * 255).numpy()
    moved = random_flow(pixels, limit, 5)
    assert moved.dtype == np.uint8
    assert np.abs(moved - expected).max() <= 0.51
    np.testing.assert_array_equal(moved, random_flow(pixels, limit, 5))
    assert (moved != random_flow(pixels, limit, 6)).any()


def test_jpeg_is_deterministic_and_changes_little() -> None:
    pixels = photograph()
    once = jpeg(pixels)
    np.testing.assert_array_equal(once, jpeg(pixels))
    assert once.shape == pixels.shape
    assert once.dtype == np.uint8
    assert 0 < np.abs(once.astype(int) - pixels).mean() < 6
    worse = jpeg(pixels, quality=20)
    assert np.abs(worse.astype(int) - pixels).mean() > np.abs(once.astype(int) - pixels).mean()


def test_jpeg_is_what_a_camera_writes() -> None:
    buffer = io.BytesIO()
    Image.fromarray(photograph()).save(buffer, "JPEG", quality=90, subsampling="4:2:0")
    np.testing.assert_array_equal(jpeg(photograph()), np.asarray(Image.open(buffer)))


def test_results_may_be_written_to() -> None:
    """torch warns about arrays that are read-only."""
    assert all(harmless(change, photograph(), 0).flags.writeable for change in HARMLESS)


def test_shift_of_a_ramp_has_a_closed_form() -> None:
    rows, columns = np.mgrid[:6, :8]
    ramp = np.stack([20 * rows, 10 * columns, 4 * rows + 6 * columns], 2).astype(np.uint8)
    before_rows, before_columns = np.maximum(rows - 0.5, 0), np.maximum(columns - 0.5, 0)
    expected = [20 * before_rows, 10 * before_columns, 4 * before_rows + 6 * before_columns]
    np.testing.assert_array_equal(half_pixel_shift(ramp), np.stack(expected, 2))


@quick
@given(pixels=Photographs)
def test_shift_is_the_mean_of_the_four_pixels_up_and_left(pixels: np.ndarray) -> None:
    padded = np.pad(pixels.astype(float), ((1, 0), (1, 0), (0, 0)), mode="edge")
    mean = (padded[1:, 1:] + padded[:-1, 1:] + padded[1:, :-1] + padded[:-1, :-1]) / 4
    assert np.abs(half_pixel_shift(pixels) - mean).max() <= 0.5


@pytest.mark.parametrize("change", HARMLESS)
def test_harmless_changes_are_those_of_their_names(change: str) -> None:
    pixels = photograph()
    expected = {"jpeg": jpeg(pixels, 90), "noise2": signed_noise(pixels, 2, 5), "shift": half_pixel_shift(pixels)}
    (name,) = [one for one in HARMLESS if one == change]
    before = pixels.copy()
    np.testing.assert_array_equal(harmless(name, pixels, seed=5), expected[change])
    np.testing.assert_array_equal(pixels, before)
