"""Distances between two 8-bit photographs: how far the attacker really went, and how visible it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

#: Side of scikit-image's default uniform SSIM window; smaller photographs are refused.
SMALLEST_SIDE = 7
_EDGE = SMALLEST_SIDE - 1
#: Rows of a photograph that are compared at once: SSIM takes some ten copies of them in double precision.
_STRIP = 1024


def linf_levels(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    """Largest absolute difference of two uint8 images (H, W, 3), in grey levels 0 to 255.

    Raises:
        ValueError: the images are not two uint8 arrays of one shape (H, W, 3).

    >>> black = np.zeros((8, 8, 3), dtype=np.uint8)
    >>> changed = black.copy()
    >>> changed[2, 3, 1] = 200
    >>> linf_levels(black, changed), linf_levels(changed, black)
    (200, 200)
    """
    _check_pair(a, b)
    # int16, because uint8 differences wrap around.
    return int(np.abs(a.astype(np.int16) - b.astype(np.int16)).max())


def image_ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Mean structural similarity of two uint8 images (H, W, 3), averaged over the colour channels, in [-1, 1].

    scikit-image's ``structural_similarity`` with its uniform 7 x 7 window and ``data_range=255``.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 13, 2004.

    Raises:
        ValueError: the images are not two uint8 arrays of one shape (H, W, 3), or a side is shorter than 7 pixels.

    >>> grey = np.full((16, 16, 3), 128, dtype=np.uint8)
    >>> image_ssim(grey, grey), round(image_ssim(grey, grey - 8), 4)
    (1.0, 0.9979)
    """
    _check_pair(a, b)
    if min(a.shape[:2]) < SMALLEST_SIDE:
        raise ValueError(
            f"image SSIM needs at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, got {a.shape[0]} x {a.shape[1]}; "
            "compare the images at the size that the model sees"
        )
    height = int(a.shape[0])
    if height <= _STRIP + _EDGE:
        return float(structural_similarity(a, b, channel_axis=2, data_range=255))
    # The mean leaves out three rows at either edge: strips that overlap by as many have it between them, each row once.
    total = 0.0
    for start in range(0, height - _EDGE, _STRIP):
        rows = min(_STRIP, height - _EDGE - start)
        one, other = (image[start : start + rows + _EDGE] for image in (a, b))
        total += rows * float(structural_similarity(one, other, channel_axis=2, data_range=255))
    return total / (height - _EDGE)


def _check_pair(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> None:
    if a.shape != b.shape or a.ndim != 3 or a.shape[2] != 3 or a.size == 0:
        raise ValueError(f"expected two images of one shape (H, W, 3), got {a.shape} and {b.shape}")
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(f"expected uint8 images, got {a.dtype} and {b.dtype}; round to grey levels 0..255 first")
