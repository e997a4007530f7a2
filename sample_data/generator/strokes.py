"""Anti-aliased curved strokes and soft dots, used for hairs, vessels, streaks and globules."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sample_data.generator.noise import Field, Size

Path = NDArray[np.float64]

_OVERSAMPLE = 2


def curve(start: tuple[float, float], heading: float, length: float, bend: float, steps: int = 24) -> Path:
    """Points of a curve of constant curvature from `start`; bend is the total turn in radians."""
    t = (np.arange(steps) + 0.5) / steps
    angle = heading + bend * t
    hop = length / steps
    x = start[0] + np.concatenate([[0.0], np.cumsum(np.cos(angle)) * hop])
    y = start[1] + np.concatenate([[0.0], np.cumsum(np.sin(angle)) * hop])
    return np.stack([x, y], axis=1)


def wander(rng: np.random.Generator, start: tuple[float, float], heading: float, length: float, wobble: float) -> Path:
    """Points of a path whose heading drifts at random, like a tortuous vessel."""
    steps = max(6, int(length / 5))
    turn = rng.normal(0.0, wobble, steps)
    angle = heading + np.cumsum(turn) - 0.25 * np.cumsum(np.cumsum(turn)) / steps
    hop = length / steps
    x = start[0] + np.concatenate([[0.0], np.cumsum(np.cos(angle)) * hop])
    y = start[1] + np.concatenate([[0.0], np.cumsum(np.sin(angle)) * hop])
    return np.stack([x, y], axis=1)


def paint(size: Size, paths: Sequence[tuple[Path, float, float, float]]) -> Field:
    """Coverage (0..1) of tapering strokes given as (points, first width, last width, strength)."""
    canvas = Image.new("L", (size[1] * _OVERSAMPLE, size[0] * _OVERSAMPLE), 0)
    draw = ImageDraw.Draw(canvas)
    for points, first, last, strength in paths:
        scaled = points * _OVERSAMPLE
        count = len(scaled) - 1
        for index in range(count):
            width = (first + (last - first) * index / max(count - 1, 1)) * _OVERSAMPLE
            fade = min(1.0, width) * strength
            ends = (*scaled[index].tolist(), *scaled[index + 1].tolist())
            draw.line(ends, fill=int(255 * fade), width=max(1, round(width)))
    small = canvas.resize((size[1], size[0]), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / np.float32(255.0)


def dots(size: Size, spots: Sequence[tuple[float, float, float, float]], hard: float = 2.0) -> Field:
    """Soft-edged round spots given as (x, y, radius, strength); a higher `hard` flattens the centre."""
    out = np.zeros(size, dtype=np.float32)
    for x, y, radius, strength in spots:
        reach = math.ceil(radius * 2.2) + 1
        top, bottom = max(0, int(y) - reach), min(size[0], int(y) + reach + 1)
        left, right = max(0, int(x) - reach), min(size[1], int(x) + reach + 1)
        if top >= bottom or left >= right:
            continue
        yy, xx = np.mgrid[top:bottom, left:right].astype(np.float32)
        far = np.sqrt((xx - x) ** 2 + (yy - y) ** 2) / np.float32(radius)
        spot = np.float32(strength) * np.exp(-(far ** np.float32(hard)))
        out[top:bottom, left:right] = np.maximum(out[top:bottom, left:right], spot)
    return out


def branch(
    rng: np.random.Generator, start: tuple[float, float], heading: float, length: float, *, width: float, depth: int
) -> list[tuple[Path, float, float, float]]:
    """A tree of vessels: a stem that forks into ever thinner, shorter branches."""
    path = wander(rng, start, heading, length, 0.16)
    tree = [(path, width, width * 0.65, 1.0)]
    if depth == 0:
        return tree
    for _ in range(int(rng.integers(2, 4))):
        joint = int(len(path) * rng.uniform(0.35, 0.98))
        origin = (float(path[joint, 0]), float(path[joint, 1]))
        side = float(rng.choice([-1.0, 1.0])) * rng.uniform(0.35, 0.95)
        tree += branch(rng, origin, heading + side, length * rng.uniform(0.5, 0.8), width=width * 0.66, depth=depth - 1)
    return tree
