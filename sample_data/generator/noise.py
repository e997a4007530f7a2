"""Seeded random fields: value noise, fractal noise and cellular (Worley) noise."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage  # type: ignore[import-untyped, unused-ignore]

Field = NDArray[np.float32]
Size = tuple[int, int]

_HASH_SIDE = 128


class Cells(NamedTuple):
    """Cellular noise: distances to the two nearest seeds (in cells) and a random number per cell."""

    nearest: Field
    second: Field
    tag: Field

    @property
    def walls(self) -> Field:
        """Distance to the cell wall: 0 on the wall, rising towards the seed."""
        return self.second - self.nearest


def blur(field: Field, sigma: float) -> Field:
    """Gaussian blur that leaves the field alone for a vanishing sigma."""
    if sigma < 0.05:
        return field
    return np.asarray(ndimage.gaussian_filter(field, sigma, truncate=3.0, mode="nearest"), dtype=np.float32)


def smoothstep(low: float, high: float, field: Field) -> Field:
    """Hermite step from 0 at `low` to 1 at `high`; swap the bounds for a falling step."""
    t = np.clip((field - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def mesh(size: Size) -> tuple[Field, Field]:
    """Pixel coordinate fields (x, y)."""
    yy, xx = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    return xx, yy


def value_noise(rng: np.random.Generator, size: Size, cell: float) -> Field:
    """Smooth noise with zero mean, unit deviation and features of about `cell` pixels."""
    if cell < 1.5:
        return rng.standard_normal(size).astype(np.float32)
    rows, cols = math.ceil(size[0] / cell) + 3, math.ceil(size[1] / cell) + 3
    coarse = rng.standard_normal((rows, cols)).astype(np.float32)
    wide, tall = math.ceil(cols * cell), math.ceil(rows * cell)
    left, top = (wide - size[1]) // 2, (tall - size[0]) // 2
    image = Image.fromarray(coarse).resize((wide, tall), Image.Resampling.BICUBIC)
    fine = np.asarray(image, dtype=np.float32)[top : top + size[0], left : left + size[1]]
    return fine * np.float32(1.45)


def fractal(rng: np.random.Generator, size: Size, cell: float, octaves: int = 4, gain: float = 0.55) -> Field:
    """Sum of octaves of value noise, scaled to about unit deviation."""
    total = np.zeros(size, dtype=np.float32)
    weight, power = 1.0, 0.0
    for octave in range(octaves):
        total += np.float32(weight) * value_noise(rng, size, cell / 2**octave)
        power += weight * weight
        weight *= gain
    return total / np.float32(math.sqrt(power))


def ridges(rng: np.random.Generator, size: Size, cell: float, octaves: int = 3, width: float = 0.16) -> Field:
    """Winding lines (1 on the line, 0 away from it) along the zero level of fractal noise."""
    field = fractal(rng, size, cell, octaves, 0.5)
    return np.asarray(np.exp(-((field / np.float32(width)) ** 2)), dtype=np.float32)


def cells(rng: np.random.Generator, xx: Field, yy: Field, pitch: float, jitter: float = 0.8) -> Cells:
    """Cellular noise on a jittered grid of the given pitch over (possibly warped) coordinates."""
    offset = rng.uniform(0.5 - jitter / 2, 0.5 + jitter / 2, (2, _HASH_SIDE, _HASH_SIDE)).astype(np.float32)
    tags = rng.random((_HASH_SIDE, _HASH_SIDE)).astype(np.float32)
    u, v = xx / np.float32(pitch), yy / np.float32(pitch)
    col, row = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    nearest = np.full(xx.shape, 9.0, dtype=np.float32)
    second, tag = nearest.copy(), np.zeros_like(nearest)
    for drow in (-1, 0, 1):
        for dcol in (-1, 0, 1):
            r, c = (row + drow) % _HASH_SIDE, (col + dcol) % _HASH_SIDE
            du, dv = col + dcol + offset[0][r, c] - u, row + drow + offset[1][r, c] - v
            dist = np.sqrt(du * du + dv * dv).astype(np.float32)
            second = np.minimum(second, np.maximum(nearest, dist))
            tag = np.where(dist < nearest, tags[r, c], tag)
            nearest = np.minimum(nearest, dist)
    return Cells(nearest, second, tag)


def warped_mesh(rng: np.random.Generator, size: Size, cell: float, amount: float) -> tuple[Field, Field]:
    """Pixel coordinates bent by smooth noise, so that drawn patterns lose their straightness."""
    xx, yy = mesh(size)
    bend = np.float32(amount)
    return xx + bend * fractal(rng, size, cell, 2), yy + bend * fractal(rng, size, cell, 2)
