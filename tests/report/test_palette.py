from __future__ import annotations

import numpy as np
from skimage.color import rgb2lab

from skinaudit.report.palette import AMBER, TEAL, colour_table, lightness


def test_equal_steps_of_a_map_are_equal_steps_of_lightness() -> None:
    seen = rgb2lab(colour_table()[None].astype(np.float64) / 255)[0, :, 0]
    steps = np.diff(seen[::8])
    assert steps.min() > 0.75 * steps.mean()
    assert steps.max() < 1.25 * steps.mean()


def test_lightness_is_that_of_scikit_image() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (50, 3)).astype(np.float64)
    assert np.allclose(lightness(colours), rgb2lab(colours[None] / 255)[0, :, 0], atol=0.05)


def test_map_stays_readable_to_eyes_without_green_cones() -> None:
    # Deuteranopia, Machado et al. 2009, severity 1.0, applied to linear RGB.
    matrix = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    linear = (colour_table().astype(np.float64) / 255) ** 2.2
    seen = (linear @ matrix.T).clip(0, 1) ** (1 / 2.2)
    assert (np.diff(rgb2lab(seen[None])[0, ::8, 0]) > 0).all()


def test_the_two_attacks_differ_in_lightness_as_well_as_hue() -> None:
    pair = np.array([[255 * part for part in (colour.red, colour.green, colour.blue)] for colour in (AMBER, TEAL)])
    assert abs(np.subtract(*lightness(pair))) > 20
