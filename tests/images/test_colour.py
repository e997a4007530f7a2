"""Rules of colour that hold for all formats."""

from __future__ import annotations

import numpy as np
from PIL import Image

from skinaudit.images.colour import as_rgb, eight_bits, premultiplied_over_white, with_alpha
from tests.images.decoding import composed, rounded


def test_every_16_bit_value_becomes_the_nearest_of_8_bits() -> None:
    every = np.arange(65536, dtype=np.uint16).reshape(512, 128)
    np.testing.assert_array_equal(eight_bits(every), rounded(every))


def test_8_bits_widened_to_16_come_back_as_they_were() -> None:
    values = np.arange(256, dtype=np.uint16)
    np.testing.assert_array_equal(eight_bits(values * 257), values)


def test_premultiplied_colour_lies_over_white_as_straight_colour_does() -> None:
    colour, alpha = np.mgrid[0:256:5, 0:256:3]
    premultiplied = np.rint(colour * alpha / 255).astype(np.uint8)[..., None]
    shown = premultiplied_over_white(premultiplied, alpha.astype(np.uint8))
    np.testing.assert_allclose(shown, composed(colour[..., None], alpha), atol=0.5 + 1e-9)


def test_colour_brighter_than_its_alpha_is_no_brighter_than_white() -> None:
    assert premultiplied_over_white(np.full((1, 1, 3), 200, np.uint8), np.full((1, 1), 100, np.uint8)).max() == 255


def test_inks_take_light_away_from_white() -> None:
    rng = np.random.default_rng(0)
    inks = rng.integers(0, 256, (16, 16, 4), dtype=np.uint8)
    inks[0], inks[1] = (0, 0, 0, 0), (0, 0, 0, 255)
    read = np.asarray(as_rgb(Image.frombytes("CMYK", (16, 16), inks.tobytes())))
    share = inks.astype(float) / 255
    np.testing.assert_allclose(read, 255 * (1 - share[..., :3]) * (1 - share[..., 3:]), atol=1)
    assert (read[0] == 255).all()
    assert (read[1] == 0).all()


def test_a_colour_key_makes_its_pixels_white() -> None:
    grey = Image.fromarray(np.array([[1, 2]], np.uint8))
    assert np.asarray(as_rgb(with_alpha(grey, np.array([[True, False]])))).tolist() == [[[255] * 3, [2] * 3]]
