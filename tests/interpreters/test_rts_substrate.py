from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from skinaudit.interpreters.rts_substrate import blur, keep_masked, substrates
from tests.small_networks import images


def batch(count: int = 6, side: int = 96) -> torch.Tensor:
    return images(count, height=side, width=side).float() / 255


def test_a_full_mask_keeps_the_image_and_an_empty_one_the_substrate() -> None:
    x, other = batch(2), batch(2).flip(0)
    assert torch.equal(keep_masked(x, torch.ones(2, 8, 8), other), other + (x - other))
    assert torch.equal(keep_masked(x, torch.zeros(2, 8, 8), other), other)
    half = keep_masked(x, torch.full((2, 8, 8), 0.5), other)
    torch.testing.assert_close(half, (x + other) / 2)


@pytest.mark.parametrize("side", [33, 96, 224])
def test_blur_agrees_with_scipy(side: int) -> None:
    x = batch(2, side)
    found = blur(x).numpy()
    expected = gaussian_filter(x.numpy(), (0, 0, side * 10 / 224, side * 10 / 224), mode="nearest")
    assert np.abs(found - expected).max() < 0.04
    assert np.abs(found - expected).mean() < 0.01


def test_each_image_has_its_own_seed_and_no_neighbour_plays_a_part() -> None:
    x, seeds = batch(), list(range(6))
    together = substrates(x, seeds)
    for row in range(6):
        alone = substrates(x[row : row + 1], seeds[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-6, rtol=0)
    assert not torch.equal(substrates(x, [seed + 100 for seed in seeds]), together)


def test_all_three_kinds_are_drawn_and_stay_pixels() -> None:
    x = batch(1).expand(40, -1, -1, -1)
    found = substrates(x, list(range(40)))
    assert found.amin() >= 0
    assert found.amax() <= 1
    flat = [bool((one == one[:, :1, :1]).all()) for one in found]
    blurred = [torch.allclose(one, blur(x[:1])[0], atol=1e-6) for one in found]
    noisy = 40 - sum(flat) - sum(blurred)
    assert min(sum(flat), sum(blurred), noisy) >= 6
