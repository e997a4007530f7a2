"""The setting of the photograph: skin, hairs, and what the dermatoscope adds to the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sample_data.generator.noise import (
    Field,
    Size,
    blur,
    cells,
    fractal,
    mesh,
    ridges,
    smoothstep,
    value_noise,
    warped_mesh,
)
from sample_data.generator.strokes import Path, curve, dots, paint
from sample_data.generator.tissue import Tissue

# Melanin and blood density of the six Fitzpatrick skin types, and how often each is drawn.
TONES = ((0.02, 0.05), (0.07, 0.08), (0.17, 0.10), (0.36, 0.11), (0.70, 0.12), (1.08, 0.12))
TONE_ODDS = (0.20, 0.27, 0.21, 0.14, 0.10, 0.08)


@dataclass(frozen=True)
class Setting:
    """Random choices that hold for one photograph."""

    tone: int
    flush: float
    warmth: float
    violet: float
    blur: float
    vignette: float
    hairs: int
    stubble: int


def choose_setting(rng: np.random.Generator) -> Setting:
    """Pick skin type, colour cast, focus and hairiness."""
    hairy = rng.random() < 0.36
    return Setting(
        tone=int(rng.choice(6, p=TONE_ODDS)),
        flush=float(rng.choice([0.0, 0.09, 0.24], p=[0.45, 0.30, 0.25]) + rng.uniform(-0.02, 0.06)),
        warmth=float(rng.normal(0.2, 1.2)),
        violet=float(rng.choice([0.0, 1.0, 2.0], p=[0.6, 0.25, 0.15])),
        blur=float(rng.uniform(0.55, 1.25)),
        vignette=float(rng.choice([0.10, 0.22, 0.45], p=[0.5, 0.35, 0.15])),
        hairs=int(rng.integers(5, 26)) if hairy else int(rng.integers(0, 3)),
        stubble=int(rng.integers(6, 26)) if rng.random() < 0.2 else 0,
    )


def bare_skin(rng: np.random.Generator, size: Size, setting: Setting) -> Tissue:
    """Healthy skin: blotchy blood and melanin, furrows between skin fields, freckles."""
    unit = min(size) / 450
    tissue = Tissue.empty(size)
    melanin, blood = TONES[setting.tone]
    tissue.skin_depth = melanin
    blotch = fractal(rng, size, 150 * unit, 5, 0.6)
    mottle = fractal(rng, size, 34 * unit, 4, 0.65)
    tissue.blood = np.maximum(blood + setting.flush + 0.028 * blotch + 0.026 * mottle, 0.01)
    tan = fractal(rng, size, 110 * unit, 5, 0.7)
    tissue.melanin = np.maximum(melanin * (1 + 0.10 * tan) + 0.022 * tan, 0.0)
    xx, yy = warped_mesh(rng, size, 40 * unit, 5 * unit)
    stretch = rng.uniform(0.55, 1.0)
    fields = cells(rng, xx * np.float32(stretch), yy, rng.uniform(9, 15) * unit, 0.9)
    furrow = np.exp(-fields.walls * 7) * (0.6 + 0.4 * value_noise(rng, size, 60 * unit))
    depth = rng.uniform(0.025, 0.08) * (1 + 1.5 * melanin)
    tissue.melanin += np.maximum(furrow, 0) * np.float32(depth)
    fine = ridges(rng, size, 26 * unit, 3, 0.22) * np.clip(0.4 + 0.5 * value_noise(rng, size, 120 * unit), 0, 1)
    tissue.blood += np.float32(rng.uniform(0.0, 0.09)) * fine
    dirt = np.clip(fractal(rng, size, 46 * unit, 6, 0.75) - 0.7, 0, 2)
    tissue.melanin += np.float32(rng.uniform(0.0, 0.09) * (1 + melanin)) * dirt
    tissue.melanin += 0.012 * fractal(rng, size, 7 * unit, 2, 0.8)
    tissue.melanin += freckles(rng, size, melanin)
    return tissue


def freckles(rng: np.random.Generator, size: Size, melanin: float) -> Field:
    """Faint sun-induced spots around the lesion; few or none in most pictures."""
    unit = min(size) / 450
    many = rng.random() < 0.3
    count = int(rng.integers(10, 45)) if many else int(rng.integers(0, 7))
    spots = [
        (rng.uniform(0, size[1]), rng.uniform(0, size[0]), rng.uniform(3, 11) * unit, rng.uniform(0.05, 0.22))
        for _ in range(count)
    ]
    rough = 0.75 + 0.35 * fractal(rng, size, 12 * unit, 3)
    return np.asarray(dots(size, spots) * np.clip(rough, 0, 2) * (1 + melanin), dtype=np.float32)


def hair_layer(rng: np.random.Generator, size: Size, setting: Setting) -> tuple[Field, tuple[float, float, float]]:
    """Coverage and colour of long hairs and shaved stubble."""
    unit = min(size) / 450
    main = rng.uniform(0, math.pi)
    paths: list[tuple[Path, float, float, float]] = []
    for _ in range(setting.hairs):
        start = (rng.uniform(-0.1, 1.0) * size[1], rng.uniform(-0.1, 1.0) * size[0])
        heading = main + rng.normal(0, 0.45)
        width = rng.uniform(0.9, 2.0) * unit
        points = curve(start, heading, rng.uniform(110, 430) * unit, rng.normal(0, 0.7), 40)
        paths.append((points, width, width * 0.35, rng.uniform(0.55, 0.95)))
    for _ in range(setting.stubble):
        start = (rng.uniform(0, size[1]), rng.uniform(0, size[0]))
        points = curve(start, main + rng.normal(0, 0.3), rng.uniform(10, 26) * unit, rng.normal(0, 0.2), 6)
        paths.append((points, 1.6 * unit, 0.8 * unit, rng.uniform(0.5, 0.9)))
    fair = setting.tone < 3 and rng.random() < 0.35
    colour = (0.60, 0.46, 0.30) if fair else (0.19, 0.12, 0.10)
    return blur(paint(size, paths), 0.5 * unit), colour


def apply_hairs(rng: np.random.Generator, picture: Field, setting: Setting) -> Field:
    """Lay the hairs, with a soft contact shadow, over the picture."""
    size = picture.shape[0], picture.shape[1]
    cover, colour = hair_layer(rng, size, setting)
    shadow = blur(cover, 2.2 * min(size) / 450)
    picture = picture * (1 - 0.22 * shadow[..., None])
    tint = np.asarray(colour, dtype=np.float32)
    return np.asarray(picture + cover[..., None] * (tint - picture), dtype=np.float32)


def specular(rng: np.random.Generator, size: Size) -> Field:
    """Small glints of the immersion gel and, now and then, a few air bubbles."""
    unit = min(size) / 450
    glints = [
        (rng.uniform(0, size[1]), rng.uniform(0, size[0]), rng.uniform(0.7, 1.8) * unit, rng.uniform(0.1, 0.5))
        for _ in range(int(rng.integers(0, 26)))
    ]
    shine = dots(size, glints)
    if rng.random() < 0.22:
        shine = np.maximum(shine, bubbles(rng, size))
    return shine


def bubbles(rng: np.random.Generator, size: Size) -> Field:
    """Air bubbles: thin uneven bright rims with a glint on one side."""
    unit = min(size) / 450
    xx, yy = mesh(size)
    shine = np.zeros(size, dtype=np.float32)
    centre = (rng.uniform(0.05, 0.95) * size[1], rng.uniform(0.05, 0.95) * size[0])
    for _ in range(int(rng.integers(2, 8))):
        x, y = centre[0] + rng.normal(0, 45) * unit, centre[1] + rng.normal(0, 45) * unit
        radius = rng.uniform(3, 13) * unit
        far = np.hypot(xx - x, yy - y)
        side = 0.45 + 0.55 * np.cos(np.arctan2(yy - y, xx - x) - rng.uniform(0, 6.28))
        rim = np.exp(-(((far - radius) / (1.3 * unit)) ** 2)) * np.clip(side, 0, 1)
        shine = np.maximum(shine, (0.36 * rim).astype(np.float32))
    return shine


def ruler(rng: np.random.Generator, size: Size) -> Field:
    """Millimetre ticks of the dermatoscope's scale along one edge."""
    unit = min(size) / 450
    base = size[0] - rng.uniform(14, 30) * unit
    pitch, first = rng.uniform(20, 34) * unit, rng.uniform(0, 30) * unit
    slope = rng.normal(0, 0.02)
    paths: list[tuple[Path, float, float, float]] = []
    for index in range(int((size[1] - first) / pitch) + 1):
        x = first + index * pitch
        y = base + slope * x
        length = (16 if index % 5 == 0 else 9) * unit
        paths.append((np.array([[x, y], [x - slope * length, y - length]]), 1.3 * unit, 1.3 * unit, 0.75))
    return blur(paint(size, paths), 0.6 * unit)


def lighting(rng: np.random.Generator, size: Size, setting: Setting) -> Field:
    """Uneven illumination: a gentle slope, a darker rim and sometimes the black edge of the lens."""
    xx, yy = mesh(size)
    u, v = xx / np.float32(size[1]) - 0.5, yy / np.float32(size[0]) - 0.5
    tilt = rng.normal(0, 0.05, 2)
    light = 1.0 + np.float32(tilt[0]) * u + np.float32(tilt[1]) * v
    far = np.hypot(u - rng.normal(0, 0.03), v - rng.normal(0, 0.03))
    light = light * (1 - setting.vignette * smoothstep(0.30, 0.75, far.astype(np.float32)))
    if rng.random() < 0.14:
        light = light * smoothstep(0.70, rng.uniform(0.58, 0.64), far.astype(np.float32))
    return np.asarray(light, dtype=np.float32)


def photograph(rng: np.random.Generator, picture: Field, setting: Setting) -> Field:
    """What the camera makes of the scene: hair, gel, light, colour cast, focus and sensor noise."""
    size = picture.shape[0], picture.shape[1]
    unit = min(size) / 450
    picture = np.stack([blur(picture[..., c], setting.blur * unit) for c in range(3)], axis=-1)
    picture = apply_hairs(rng, picture, setting)
    if rng.random() < 0.06:
        picture = picture * (1 - ruler(rng, size)[..., None])
    picture = picture + specular(rng, size)[..., None] * (0.98 - picture)
    picture = np.stack([blur(picture[..., c], 0.45 * unit) for c in range(3)], axis=-1)
    cast = np.float32(1.0) + np.array([0.022, -0.002, -0.040], dtype=np.float32) * np.float32(setting.warmth)
    cast += np.array([-0.035, -0.020, 0.070], dtype=np.float32) * np.float32(setting.violet)
    exposure = rng.uniform(0.93, 1.05)
    picture = picture * lighting(rng, size, setting)[..., None] * cast * np.float32(exposure)
    grain = 0.007 * value_noise(rng, size, 1.7 * unit) + 0.004 * rng.standard_normal(size).astype(np.float32)
    chroma = np.stack([value_noise(rng, size, 2.6 * unit) for _ in range(3)], axis=-1)
    return np.asarray(np.clip(picture + grain[..., None] + 0.004 * chroma, 0, 1), dtype=np.float32)
