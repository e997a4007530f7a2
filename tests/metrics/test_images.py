"""Oracles: brute-force Python integers, scikit-image per channel, the closed form for flat images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from skinaudit.metrics.images import image_ssim, linf_levels

photographs = hnp.arrays(np.uint8, (7, 8, 3), elements=st.integers(0, 255))
quick = settings(deadline=None, max_examples=40, derandomize=True)


def random_photograph(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@quick
@given(a=photographs, b=photographs)
def test_linf_levels_equals_the_largest_difference_of_integers(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> None:
    expected = max(abs(x - y) for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))
    assert linf_levels(a, b) == linf_levels(b, a) == expected


def test_linf_levels_does_not_wrap_around() -> None:
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert linf_levels(black, white) == 255
    assert linf_levels(white, white) == 0


def test_image_ssim_is_the_mean_over_the_colour_channels() -> None:
    a, b = random_photograph(0), random_photograph(1)
    channels = [structural_similarity(a[..., c], b[..., c], data_range=255) for c in range(3)]
    assert image_ssim(a, b) == pytest.approx(np.mean(channels), rel=1e-12)


def test_image_ssim_of_flat_images_is_the_luminance_term() -> None:
    a, b = np.full((9, 9, 3), 100, np.uint8), np.full((9, 9, 3), 50, np.uint8)
    constant = (0.01 * 255) ** 2
    assert image_ssim(a, b) == pytest.approx((2 * 100 * 50 + constant) / (100**2 + 50**2 + constant))


@quick
@given(a=photographs, b=photographs)
def test_image_ssim_is_symmetric_and_one_for_the_same_image(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> None:
    assert image_ssim(a, b) == pytest.approx(image_ssim(b, a), abs=1e-12)
    assert -1.0 <= image_ssim(a, b) <= 1.0 + 1e-12
    assert image_ssim(a, a) == pytest.approx(1.0)


def test_more_noise_gives_less_similarity() -> None:
    clean = np.full((32, 32, 3), 128, np.uint8)
    noise = np.random.default_rng(2).integers(-8, 9, clean.shape)
    little, much = (clean + noise // 4).astype(np.uint8), (clean + noise).astype(np.uint8)
    assert 1.0 > image_ssim(clean, little) > image_ssim(clean, much)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8), r"one shape \(H, W, 3\)"),
        (np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8), r"one shape \(H, W, 3\)"),
        (np.zeros((3, 8, 8), np.uint8), np.zeros((3, 8, 8), np.uint8), r"one shape \(H, W, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), np.zeros((0, 8, 3), np.uint8), r"one shape \(H, W, 3\)"),
        (np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 3), np.uint8), "round to grey levels"),
    ],
)
def test_wrong_images_are_refused_by_name(a: NDArray[np.uint8], b: NDArray[np.uint8], message: str) -> None:
    for measure in (linf_levels, image_ssim):
        with pytest.raises(ValueError, match=message):
            measure(a, b)


def test_image_ssim_refuses_an_image_smaller_than_its_window() -> None:
    small = np.zeros((6, 20, 3), np.uint8)
    with pytest.raises(ValueError, match="at least 7 x 7 pixels, got 6 x 20"):
        image_ssim(small, small)


@pytest.mark.parametrize("height", [1029, 1030, 1031, 2053, 2060])
def test_ssim_of_a_tall_photograph_is_that_of_the_whole(height: int) -> None:
    generator = np.random.default_rng(4)
    a = generator.integers(0, 256, (height, 9, 3), dtype=np.uint8)
    uneven = generator.integers(-9, 10, a.shape) * (np.arange(height) % 700 > 300)[:, None, None]
    b = (a.astype(int) + uneven).clip(0, 255).astype(np.uint8)
    assert image_ssim(a, b) == pytest.approx(structural_similarity(a, b, channel_axis=2, data_range=255), abs=1e-12)
