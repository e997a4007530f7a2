"""Changes without intent: noise as strong as the attack, and what pictures go through harmlessly every day.

All take and give uint8 pixels (H,W,3) as the photograph lies, before any network sees them.
"""

from __future__ import annotations

import io
from typing import Literal, get_args

import numpy as np
from PIL import Image
from scipy import ndimage

Harmless = Literal["jpeg", "noise2", "shift"]
#: Harmless changes behind the drift thresholds: JPEG quality 90, ±2/255 noise, a shift by half a pixel.
HARMLESS: tuple[Harmless, ...] = get_args(Harmless)

Pixels = np.ndarray


def signed_noise(pixels: Pixels, levels: int, seed: int) -> Pixels:
    """Every value moves by +levels or −levels grey levels at random, cut to 0…255."""
    signs = np.random.default_rng(seed).integers(0, 2, pixels.shape, dtype=np.int16) * 2 - 1
    moved = pixels.astype(np.int16) + signs * levels
    return moved.clip(0, 255).astype(np.uint8)


def random_flow(pixels: Pixels, limit: float, seed: int) -> Pixels:
    """Every pixel is fetched from ``limit`` pixels away in a direction of its own (bilinear, edge repeated)."""
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi, pixels.shape[:2])
    down, right = np.indices(pixels.shape[:2])
    places = np.stack([down + limit * np.sin(angle), right + limit * np.cos(angle)])
    channels = [
        ndimage.map_coordinates(one.astype(np.float32), places, order=1, mode="nearest")
        for one in np.moveaxis(pixels, 2, 0)
    ]
    moved: Pixels = np.stack(channels, axis=2)
    return moved.round().clip(0, 255).astype(np.uint8)


def jpeg(pixels: Pixels, quality: int = 90) -> Pixels:
    """Compressed and decoded again (baseline JPEG, 4:2:0 as cameras and archives write it)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer, formats=["JPEG"]).convert("RGB"))


def half_pixel_shift(pixels: Pixels) -> Pixels:
    """Moved by half a pixel right and down (bilinear, edge repeated), as another resampler would do."""
    moved: Pixels = ndimage.shift(pixels.astype(np.float32), (0.5, 0.5, 0), order=1, mode="nearest")
    return moved.round().clip(0, 255).astype(np.uint8)


def harmless(change: Harmless, pixels: Pixels, seed: int) -> Pixels:
    """One of the harmless changes; ``seed`` matters for the noise alone."""
    if change == "jpeg":
        return jpeg(pixels)
    if change == "shift":
        return half_pixel_shift(pixels)
    return signed_noise(pixels, 2, seed)
