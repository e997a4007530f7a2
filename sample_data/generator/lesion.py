"""Outline of a lesion and the dermoscopic structures that can be drawn inside it."""

from __future__ import annotations

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
from sample_data.generator.strokes import Path, branch, curve, dots, paint
from sample_data.generator.tissue import Tissue


@dataclass(frozen=True)
class Outline:
    """Where the lesion lies: depth is 1 at the centre, 0 on the border and negative outside."""

    depth: Field
    angle: Field
    centre: tuple[float, float]
    radius: float

    @property
    def size(self) -> Size:
        """Height and width of the picture."""
        return self.depth.shape[0], self.depth.shape[1]

    def mask(self, soft: float, inset: float = 0.0) -> Field:
        """Soft membership, half way on the border moved inwards by `inset`."""
        return smoothstep(inset - soft, inset + soft, self.depth)

    def ring(self, at: float, width: float) -> Field:
        """Soft band around the given depth."""
        return np.asarray(np.exp(-(((self.depth - at) / width) ** 2)), dtype=np.float32)

    def spots(self, rng: np.random.Generator, count: int, inset: float = 0.08) -> list[tuple[float, float]]:
        """Random points inside the lesion, at least `inset` away from the border."""
        rows, cols = np.nonzero(self.depth > inset)
        if len(rows) == 0:
            return []
        picks = rng.integers(0, len(rows), count)
        return [(float(cols[i]), float(rows[i])) for i in picks]


def outline(
    rng: np.random.Generator,
    size: Size,
    width: tuple[float, float],
    ragged: float,
    *,
    lobes: int = 1,
    long: float = 1.4,
) -> Outline:
    """An irregular blob: merged warped ellipses filling about `width` of the picture's width."""
    unit = min(size) / 450
    radius = float(rng.uniform(*width)) * size[1] / 2
    cx, cy = size[1] * (0.5 + rng.normal(0, 0.035)), size[0] * (0.5 + rng.normal(0, 0.035))
    xx, yy = mesh(size)
    bend = np.float32(ragged * radius)
    xx = xx + bend * fractal(rng, size, radius * 0.85, 5, 0.5) - np.float32(cx)
    yy = yy + bend * fractal(rng, size, radius * 0.85, 5, 0.5) - np.float32(cy)
    tilt, aspect = rng.uniform(-0.6, 0.6), np.sqrt(rng.uniform(1.0, long))
    u = (xx * np.cos(tilt) + yy * np.sin(tilt)) / (radius * aspect)
    v = (yy * np.cos(tilt) - xx * np.sin(tilt)) / (min(radius, 0.42 * size[0]) / aspect)
    merged = np.zeros(size, dtype=np.float32)
    for index in range(lobes):
        share = 1.0 if lobes == 1 else rng.uniform(0.5, 0.8)
        away, way = (0.0, 0.0) if index == 0 else (rng.uniform(0.35, 0.65), rng.uniform(0, 6.283))
        far = np.hypot(u - away * np.cos(way), v - away * np.sin(way)) / share
        merged += np.exp(-4.0 * far.astype(np.float32))
    depth = 1.0 + np.log(merged + 1e-9) / np.float32(4.0)
    depth = depth + 0.012 * value_noise(rng, size, 5 * unit)
    return Outline(depth.astype(np.float32), np.arctan2(v, u).astype(np.float32), (cx, cy), radius)


def network(rng: np.random.Generator, shape: Outline, pitch: float, irregular: float) -> Field:
    """Pigment network: brown mesh lines around pale holes; `irregular` bends and thickens the mesh."""
    unit = min(shape.size) / 450
    xx, yy = warped_mesh(rng, shape.size, 55 * unit, (2 + 4.5 * irregular) * unit)
    mesh_cells = cells(rng, xx, yy, pitch * unit, 0.75)
    sharp = 3.2 - 1.0 * irregular
    lines = np.exp(-mesh_cells.walls * sharp)
    uneven = np.clip(1.0 + (0.25 + 0.5 * irregular) * fractal(rng, shape.size, 38 * unit, 3), 0.1, 2.0)
    return np.asarray(lines * uneven, dtype=np.float32)


def globules(rng: np.random.Generator, shape: Outline, pitch: float, share: float) -> Field:
    """Globules: round pigment clods of uneven size, `share` of all places being occupied."""
    unit = min(shape.size) / 450
    xx, yy = warped_mesh(rng, shape.size, 18 * unit, 1.6 * unit)
    clods = cells(rng, xx, yy, pitch * unit, 0.85)
    size = 0.22 + 0.22 * ((clods.tag * 7.31) % 1.0)
    present = (clods.tag < share).astype(np.float32)
    return np.asarray(present * smoothstep(1.25, 0.55, clods.nearest / size), dtype=np.float32)


def blotches(rng: np.random.Generator, shape: Outline, scale: float, level: float, soft: float = 0.5) -> Field:
    """Eccentric patches (0..1) where coarse fractal noise exceeds `level`; scale is in lesion radii."""
    field = fractal(rng, shape.size, scale * shape.radius, 5, 0.55)
    return smoothstep(level - soft, level + soft, field)


def streaks(rng: np.random.Generator, shape: Outline, count: int) -> Field:
    """Radial streaks and pseudopods that leave the border in one or two sectors."""
    unit = min(shape.size) / 450
    rows, cols = np.nonzero(np.abs(shape.depth - 0.06) < 0.03)
    if len(rows) == 0:
        return np.zeros(shape.size, dtype=np.float32)
    paths: list[tuple[Path, float, float, float]] = []
    sector = rng.uniform(-np.pi, np.pi)
    for _ in range(count):
        pick = int(rng.integers(0, len(rows)))
        x, y = float(cols[pick]), float(rows[pick])
        away = float(np.arctan2(y - shape.centre[1], x - shape.centre[0]))
        if np.cos(away - sector) < 0.1:
            continue
        length = rng.uniform(0.06, 0.15) * shape.radius
        points = curve((x, y), away + rng.normal(0, 0.25), length, rng.normal(0, 0.4), 8)
        paths.append((points, rng.uniform(5.0, 8.5) * unit, 4.0 * unit, rng.uniform(0.35, 0.9)))
    return blur(paint(shape.size, paths), 2.4 * unit)


def specks(
    rng: np.random.Generator, shape: Outline, count: int, radius: tuple[float, float], inset: float = 0.08
) -> Field:
    """Scattered dots: black dots, milia-like cysts, comedo-like openings or pepper."""
    unit = min(shape.size) / 450
    spots = [(x, y, rng.uniform(*radius) * unit, rng.uniform(0.45, 1.0)) for x, y in shape.spots(rng, count, inset)]
    bent = dots(shape.size, spots, 2.6)
    return np.asarray(bent * np.clip(0.9 + 0.25 * fractal(rng, shape.size, 7 * unit, 2), 0, 1.3), dtype=np.float32)


def vessels(rng: np.random.Generator, shape: Outline, stems: int, width: float) -> Field:
    """Arborising vessels: stems that enter from the rim and branch over the lesion."""
    unit = min(shape.size) / 450
    tree: list[tuple[Path, float, float, float]] = []
    for _ in range(stems):
        way = rng.uniform(0, 6.283)
        reach = shape.radius * rng.uniform(0.55, 1.0)
        start = (shape.centre[0] + reach * np.cos(way), shape.centre[1] + 0.75 * reach * np.sin(way))
        heading = way + np.pi + rng.normal(0, 0.5)
        tree += branch(rng, start, heading, shape.radius * rng.uniform(0.6, 1.0), width=width * unit, depth=3)
    return blur(paint(shape.size, tree), 0.8 * unit)


def short_vessels(rng: np.random.Generator, shape: Outline, count: int, length: float) -> Field:
    """Short curved or dotted vessels scattered over the lesion."""
    unit = min(shape.size) / 450
    paths: list[tuple[Path, float, float, float]] = []
    for x, y in shape.spots(rng, count, 0.0):
        points = curve((x, y), rng.uniform(0, 6.283), length * unit * rng.uniform(0.5, 1.3), rng.normal(0, 1.6), 8)
        paths.append((points, 2.2 * unit, 1.3 * unit, rng.uniform(0.4, 0.9)))
    return blur(paint(shape.size, paths), 0.9 * unit)


def scales(rng: np.random.Generator, shape: Outline, level: float) -> Field:
    """White flakes of surface scale: ragged plates broken by cracks."""
    unit = min(shape.size) / 450
    xx, yy = warped_mesh(rng, shape.size, 22 * unit, 7 * unit)
    plates = cells(rng, xx, yy, 19 * unit, 0.95)
    plate = smoothstep(0.02, 0.35, plates.walls) * (0.35 + 0.65 * plates.tag)
    where = smoothstep(level - 0.45, level + 0.45, fractal(rng, shape.size, 0.45 * shape.radius, 5, 0.65))
    fine = np.clip(0.65 + 0.4 * fractal(rng, shape.size, 8 * unit, 3), 0, 1.2)
    return np.asarray(where * fine * plate, dtype=np.float32)


def fissures(rng: np.random.Generator, shape: Outline, cell: float, width: float = 0.14) -> Field:
    """Fissures and ridges: a brain-like system of winding dark lines."""
    unit = min(shape.size) / 450
    return ridges(rng, shape.size, cell * unit, 3, width)


def lacunae(rng: np.random.Generator, shape: Outline, pitch: float) -> tuple[Field, Field]:
    """Blood-filled lacunae: (rounded compartments 0..1, random number per compartment)."""
    unit = min(shape.size) / 450
    body, tag = np.zeros(shape.size, dtype=np.float32), np.zeros(shape.size, dtype=np.float32)
    for scale in (1.0, 0.6):
        xx, yy = warped_mesh(rng, shape.size, 30 * unit, 6 * unit)
        rooms = cells(rng, xx, yy, pitch * scale * unit, 0.95)
        size = 0.34 + 0.30 * ((rooms.tag * 5.17) % 1.0)
        room = smoothstep(1.3, 0.25, rooms.nearest / size) * smoothstep(0.0, 0.35, rooms.walls)
        tag = np.where(room > body, rooms.tag, tag)
        body = np.maximum(body, room)
    return body, blur(tag, 4.0 * unit)


def follicles(rng: np.random.Generator, shape: Outline, pitch: float) -> tuple[Field, Field]:
    """Strawberry pattern: (pale follicle openings, the red mesh between them)."""
    unit = min(shape.size) / 450
    xx, yy = warped_mesh(rng, shape.size, 70 * unit, 3.5 * unit)
    pores = cells(rng, xx, yy, pitch * unit, 0.8)
    size = 0.17 + 0.15 * ((pores.tag * 3.71) % 1.0)
    opening = smoothstep(1.3, 0.5, pores.nearest / size) * smoothstep(0.15, 0.9, pores.tag)
    between = np.clip(0.2 + 1.1 * pores.nearest + 0.25 * fractal(rng, shape.size, 9 * unit, 3), 0, 1.4)
    return np.asarray(opening, dtype=np.float32), np.asarray(between, dtype=np.float32)


def veil(tissue: Tissue, where: Field, strength: float) -> None:
    """Blue-white veil: deep pigment under a milky film."""
    tissue.deep += np.float32(strength) * where
    tissue.white_tint = (0.73, 0.73, 0.79)
    tissue.whiten(0.26 * where)
