from __future__ import annotations

import torch

from skinaudit.audit.change import measure_change


def test_a_change_is_measured_on_the_pixels() -> None:
    before = torch.full((3, 9, 12), 100, dtype=torch.uint8)
    after = before.clone()
    after[1, 4, 5] = 93
    change = measure_change(before, after)
    assert (change.linf_levels, change.displacement_max, change.displacement_mean) == (7, None, None)
    assert change.image_ssim < 1
    assert measure_change(before, before).image_ssim == 1


def test_displacements_come_from_the_search() -> None:
    pixels = torch.zeros(3, 9, 9, dtype=torch.uint8)
    change = measure_change(pixels, pixels, (0.5, 0.25))
    assert (change.displacement_max, change.displacement_mean) == (0.5, 0.25)
