"""Colour rules that all file formats share: 16 bits become 8, transparency lies over white, inks become RGB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Rows that are converted at once, so that wide intermediate types stay small beside the picture.
_ROWS = 128

_WHITE = (255, 255, 255, 255)


def eight_bits(samples: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Bring 16-bit samples to 8 bits: v / 257, rounded to the nearest (65535 = 255 x 257, so both ends stay put).

    Args:
        samples: any shape, uint16.

    Returns:
        The same shape, uint8.

    >>> eight_bits(np.array([0, 128, 129, 65535], dtype=np.uint16)).tolist()
    [0, 0, 1, 255]
    """
    result = np.empty(samples.shape, dtype=np.uint8)
    for start in range(0, len(samples), _ROWS):
        wide = samples[start : start + _ROWS].astype(np.uint32)
        result[start : start + _ROWS] = (wide + 128) // 257  # 257 is odd: there are no ties
    return result


def as_rgb(image: Image.Image) -> Image.Image:
    """Grey, palette, transparent and CMYK pictures of 8 bits a sample as RGB.

    Transparent pixels are laid over white. CMYK becomes (1 - ink) x (1 - black) of each channel, whatever profile the
    file carries.

    Args:
        image: of any mode of Pillow with at most 8 bits a sample.

    Returns:
        A picture of mode RGB.
    """
    if not image.has_transparency_data:
        return image.convert("RGB")
    opaque = Image.new("RGBA", image.size, _WHITE)
    opaque.alpha_composite(image.convert("RGBA"))
    return opaque.convert("RGB")


def with_alpha(image: Image.Image, transparent: NDArray[np.bool_]) -> Image.Image:
    """The RGB picture of a colour key: where ``transparent`` (H, W) holds, the picture of mode RGBA shows nothing."""
    keyed = image.convert("RGB")
    keyed.putalpha(Image.fromarray(np.where(transparent, 0, 255).astype(np.uint8)))
    return keyed


def premultiplied_over_white(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour that is already multiplied by its alpha, over white: c + 255 - a, at most 255.

    Args:
        colour: (H, W, C) uint8, premultiplied.
        alpha: (H, W) uint8.

    Returns:
        (H, W, C) uint8.
    """
    result = np.empty_like(colour)
    for start in range(0, len(colour), _ROWS):
        part = slice(start, start + _ROWS)
        white = 255 - alpha[part, :, None].astype(np.uint16)
        result[part] = np.minimum(colour[part] + white, 255)
    return result
