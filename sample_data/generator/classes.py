"""One recipe per diagnosis: which structures, in what amounts, make up a lesion of that class."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sample_data.generator import lesion as parts
from sample_data.generator.noise import Size, blur, fractal, smoothstep, value_noise
from sample_data.generator.skin import bare_skin, choose_setting, photograph
from sample_data.generator.tissue import Tissue

Recipe = Callable[[np.random.Generator, Tissue], None]


def nevus(rng: np.random.Generator, tissue: Tissue) -> None:
    """Melanocytic nevus: round, even brown, regular network or globules, fading border."""
    unit = min(tissue.size) / 450
    shape = parts.outline(rng, tissue.size, (0.26, 0.56), rng.uniform(0.04, 0.09), lobes=1, long=1.6)
    body = shape.mask(rng.uniform(0.16, 0.34), 0.10)
    core = smoothstep(0.0, 1.0, shape.depth)
    even = 1 + 0.10 * fractal(rng, tissue.size, 0.5 * shape.radius, 5, 0.7)
    dark = rng.uniform(0.32, 0.95) + 0.35 * tissue.skin_depth
    tissue.melanin += body * even * np.float32(dark) * (0.55 + rng.uniform(0.2, 0.9) * core)
    tissue.blood += body * np.float32(rng.uniform(0.05, 0.34))
    kind = rng.choice(["network", "globules", "plain"], p=[0.45, 0.35, 0.2])
    if kind == "network":
        rim = body * (0.35 + 0.65 * shape.ring(0.3, 0.3))
        tissue.melanin += rim * parts.network(rng, shape, rng.uniform(8, 12), 0.25) * np.float32(0.9 * dark)
    elif kind == "globules":
        clods = parts.globules(rng, shape, rng.uniform(10, 17), 0.75)
        tissue.melanin += blur(clods, 0.8 * unit) * body * np.float32(rng.uniform(0.35, 0.7))
    else:
        tissue.melanin += 0.10 * body * fractal(rng, tissue.size, 12 * unit, 3)


def melanoma(rng: np.random.Generator, tissue: Tissue) -> None:
    """Melanoma: asymmetric and ragged, several colours, streaks, veil, regression, irregular dots."""
    unit = min(tissue.size) / 450
    shape = parts.outline(
        rng, tissue.size, (0.40, 0.70), rng.uniform(0.09, 0.17), lobes=int(rng.integers(3, 6)), long=1.5
    )
    body = shape.mask(rng.uniform(0.06, 0.20), 0.06)
    halo = shape.mask(0.30, 0.0) * np.clip(0.6 + 0.5 * fractal(rng, tissue.size, 0.5 * shape.radius, 4), 0, 1.5)
    tissue.melanin += np.float32(rng.uniform(0.08, 0.3)) * halo
    tissue.blood += 0.12 * halo
    patchy = fractal(rng, tissue.size, 0.5 * shape.radius, 6, 0.65)
    dark = rng.uniform(0.32, 0.85) + 0.4 * tissue.skin_depth
    tissue.melanin += body * np.clip(dark * (1 + 0.42 * patchy), 0.1, None)
    tissue.blood += body * np.clip(0.10 + 0.14 * fractal(rng, tissue.size, 0.6 * shape.radius, 3), 0, 0.6)
    tissue.melanin += 0.55 * body * parts.network(rng, shape, rng.uniform(11, 16), 0.9)
    inner = shape.mask(0.12, 0.16)
    black = parts.blotches(rng, shape, 0.6, rng.uniform(0.0, 0.7), 0.6) * inner
    tissue.melanin += np.float32(rng.uniform(0.5, 1.6)) * black
    tissue.deep += 0.35 * black
    tissue.melanin += 1.1 * parts.streaks(rng, shape, int(rng.integers(18, 70)))
    tissue.melanin += 1.6 * body * parts.specks(rng, shape, int(rng.integers(12, 50)), (2.0, 5.5), 0.02)
    if rng.random() < 0.55:
        scar = parts.blotches(rng, shape, 0.5, rng.uniform(0.6, 1.1), 0.7) * inner * (1 - 0.8 * black)
        tissue.bleach(0.65 * scar)
        tissue.whiten(0.30 * scar)
        tissue.deep += 0.5 * scar * parts.specks(rng, shape, 260, (1.0, 2.0))
    if rng.random() < 0.7:
        film = parts.blotches(rng, shape, 0.7, rng.uniform(0.2, 0.8), 1.0) * inner
        parts.veil(tissue, film * (0.8 + 0.2 * value_noise(rng, tissue.size, 25 * unit)), rng.uniform(0.35, 0.55))


def keratosis(rng: np.random.Generator, tissue: Tissue) -> None:
    """Seborrhoeic keratosis: stuck on, sharp edge, cysts, comedo-like openings, fissures."""
    unit = min(tissue.size) / 450
    shape = parts.outline(
        rng, tissue.size, (0.38, 0.68), rng.uniform(0.07, 0.13), lobes=int(rng.integers(1, 4)), long=1.7
    )
    bites = np.clip(value_noise(rng, tissue.size, 26 * unit) - 0.7, 0, 1) * 0.10
    shape = parts.Outline(shape.depth - bites, shape.angle, shape.centre, shape.radius)
    body = shape.mask(rng.uniform(0.03, 0.08), 0.03)
    dark = rng.uniform(0.26, 0.62) + 0.35 * tissue.skin_depth
    waxy = 1 + 0.27 * fractal(rng, tissue.size, 0.5 * shape.radius, 6, 0.72)
    tissue.melanin += body * np.float32(dark) * np.clip(waxy, 0.2, None)
    tissue.keratin += body * np.float32(rng.uniform(0.03, 0.24)) * np.clip(waxy, 0.2, None)
    tissue.deep += body * np.float32(rng.uniform(0.0, 0.14))
    tissue.blood += body * np.float32(rng.uniform(0.02, 0.16))
    tissue.melanin += 0.25 * dark * shape.ring(0.05, 0.06) * body
    grooves = parts.fissures(rng, shape, rng.uniform(26, 46), rng.uniform(0.16, 0.3))
    grooves = blur(grooves, 0.8 * unit) * np.clip(0.6 + 0.5 * value_noise(rng, tissue.size, 30 * unit), 0, 1.4)
    tissue.melanin += np.float32(rng.uniform(0.25, 0.6)) * body * grooves
    plugs = parts.specks(rng, shape, int(rng.integers(8, 30)), (3.0, 7.5), 0.10)
    tissue.melanin += 1.0 * plugs
    tissue.keratin += 0.3 * plugs
    tissue.white_tint = (0.95, 0.90, 0.80)
    cysts = parts.specks(rng, shape, int(rng.integers(10, 40)), (2.5, 6.0), 0.10)
    tissue.whiten(0.62 * blur(cysts, 0.9 * unit))
    tissue.whiten(0.09 * body * np.clip(fractal(rng, tissue.size, 14 * unit, 3), 0, 1.5))


def carcinoma(rng: np.random.Generator, tissue: Tissue) -> None:
    """Basal cell carcinoma: pink and pearly, arborising vessels, blue-grey nests, ulceration."""
    unit = min(tissue.size) / 450
    shape = parts.outline(
        rng, tissue.size, (0.36, 0.64), rng.uniform(0.09, 0.16), lobes=int(rng.integers(1, 4)), long=1.5
    )
    body = shape.mask(rng.uniform(0.10, 0.22), 0.04)
    tissue.bleach(body * 0.55)
    cloud = 1 + 0.45 * fractal(rng, tissue.size, 0.4 * shape.radius, 5, 0.6)
    tissue.blood += np.float32(rng.uniform(0.16, 0.34)) * body * np.clip(cloud, 0.1, None)
    tissue.white_tint = (0.95, 0.83, 0.86)
    tissue.whiten(0.38 * body * parts.blotches(rng, shape, 0.6, 0.3, 1.5))
    shine = parts.fissures(rng, shape, 48, 0.10) * parts.blotches(rng, shape, 0.5, 0.6)
    tissue.whiten(0.35 * shine * body)
    tree = parts.vessels(rng, shape, int(rng.integers(2, 6)), rng.uniform(3.0, 4.8))
    tissue.blood += np.float32(rng.uniform(0.55, 0.9)) * tree * shape.mask(0.35, -0.2)
    tissue.venous += 0.15 * tree * body
    where = shape.mask(0.06, 0.06) * parts.blotches(rng, shape, 0.5, -0.1)
    share = rng.uniform(0.2, 0.6)
    large = blur(parts.globules(rng, shape, rng.uniform(38, 58), share), 4.0 * unit)
    small = blur(parts.globules(rng, shape, rng.uniform(15, 24), share), 2.0 * unit)
    grainy = np.clip(0.85 + 0.3 * fractal(rng, tissue.size, 10 * unit, 3), 0.2, 1.5)
    nests = np.maximum(large, 0.7 * small) * where * grainy
    tissue.deep += np.float32(rng.uniform(0.45, 0.95)) * nests
    tissue.melanin += np.float32(rng.uniform(0.1, 0.4)) * nests
    if rng.random() < 0.5:
        sore = parts.blotches(rng, shape, 0.4, 1.3, 0.4) * shape.mask(0.2, 0.35)
        tissue.venous += 0.65 * sore
        tissue.blood += 0.6 * sore
        tissue.melanin += 0.5 * sore**2
        tissue.keratin += 0.5 * blur(sore, 5 * unit)


def actinic(rng: np.random.Generator, tissue: Tissue) -> None:
    """Actinic keratosis: red pseudo-network around pale follicles, white-yellow scale."""
    unit = min(tissue.size) / 450
    shape = parts.outline(
        rng, tissue.size, (0.46, 0.80), rng.uniform(0.11, 0.19), lobes=int(rng.integers(1, 4)), long=1.5
    )
    body = shape.mask(rng.uniform(0.22, 0.4), 0.12)
    opening, between = parts.follicles(rng, shape, rng.uniform(13, 20))
    patch = 0.65 + 0.45 * parts.blotches(rng, shape, 0.5, 0.0, 1.0)
    red = rng.uniform(0.28, 0.5) * (1 + 0.5 * tissue.skin_depth)
    tissue.blood += body * patch * np.float32(red) * (0.4 + 0.8 * between)
    tissue.blood += 0.45 * body * parts.short_vessels(rng, shape, int(rng.integers(40, 110)), 16)
    tissue.keratin += 0.16 * body * patch
    brown = parts.blotches(rng, shape, 0.35, rng.uniform(0.4, 1.1), 0.5) * body
    tissue.melanin += np.float32(rng.uniform(0.15, 0.45)) * brown * (0.4 + between)
    tissue.white_tint = (0.95, 0.90, 0.82)
    tissue.whiten(rng.uniform(0.35, 0.7) * opening * body * patch)
    crust = parts.scales(rng, shape, rng.uniform(0.3, 1.0)) * shape.mask(0.25, 0.22)
    tissue.whiten(np.float32(rng.uniform(0.45, 0.75)) * blur(crust, 0.6 * unit))
    tissue.keratin += 0.3 * crust


def fibroma(rng: np.random.Generator, tissue: Tissue) -> None:
    """Dermatofibroma: white scar-like centre inside a delicate brown network that fades outwards."""
    unit = min(tissue.size) / 450
    shape = parts.outline(rng, tissue.size, (0.32, 0.58), rng.uniform(0.05, 0.09), lobes=1, long=1.35)
    body = shape.mask(0.34, 0.12)
    tissue.blood += np.float32(rng.uniform(0.10, 0.30)) * body
    rim = shape.ring(rng.uniform(0.28, 0.38), rng.uniform(0.20, 0.28))
    uneven = 0.9 + 0.16 * fractal(rng, tissue.size, 0.4 * shape.radius, 4, 0.6)
    brown = (rng.uniform(0.24, 0.46) + 0.3 * tissue.skin_depth) * rim * uneven
    tissue.melanin += brown * (0.55 + 0.75 * parts.network(rng, shape, rng.uniform(7, 10), 0.3))
    edge = shape.depth + 0.06 * fractal(rng, tissue.size, 0.3 * shape.radius, 5, 0.65)
    scar = smoothstep(0.42, 0.95, edge)
    tissue.bleach(0.6 * scar)
    tissue.blood += 0.10 * scar
    tissue.white_tint = (0.96, 0.88, 0.87)
    strands = 0.78 + 0.22 * fractal(rng, tissue.size, 16 * unit, 4, 0.6)
    tissue.whiten(np.float32(rng.uniform(0.45, 0.75)) * scar * np.clip(strands, 0.3, 1.1))
    lines = parts.fissures(rng, shape, 34, 0.12) * smoothstep(0.25, 0.6, shape.depth)
    tissue.whiten(0.28 * lines)


def vascular(rng: np.random.Generator, tissue: Tissue) -> None:
    """Vascular lesion: sharply bordered red, purple or maroon lacunae on a homogeneous ground."""
    unit = min(tissue.size) / 450
    shape = parts.outline(
        rng, tissue.size, (0.26, 0.52), rng.uniform(0.035, 0.08), lobes=int(rng.integers(1, 3)), long=1.4
    )
    body = shape.mask(rng.uniform(0.06, 0.13), 0.03)
    tissue.blood += 0.22 * smoothstep(-0.55, 0.1, shape.depth)
    tissue.bleach(0.5 * body)
    room, tag = parts.lacunae(rng, shape, rng.uniform(34, 56))
    room = blur(room, 2.2 * unit)
    purple = float(rng.choice([0.0, 0.35, 0.8], p=[0.45, 0.3, 0.25]))
    cloud = np.clip(0.9 + 0.2 * fractal(rng, tissue.size, 0.5 * shape.radius, 4), 0.3, 1.6)
    tissue.blood += body * cloud * (rng.uniform(0.6, 0.9) + room * (0.25 + 0.45 * tag))
    tissue.venous += body * cloud * (0.10 + purple * 0.35 + room * tag * (0.3 + 0.7 * purple))
    tissue.deep += body * purple * (0.2 + 0.4 * room * tag)
    if rng.random() < 0.35:
        clot = parts.blotches(rng, shape, 0.5, 0.9, 0.35) * shape.mask(0.1, 0.15)
        tissue.venous += 1.1 * clot
    tissue.white_tint = (0.90, 0.74, 0.82)
    septa = np.clip(1 - room * 1.4, 0, 1) * parts.blotches(rng, shape, 0.5, 0.4, 0.9)
    tissue.whiten(0.26 * septa * body)


RECIPES: dict[str, Recipe] = {
    "akiec": actinic,
    "bcc": carcinoma,
    "bkl": keratosis,
    "df": fibroma,
    "mel": melanoma,
    "nv": nevus,
    "vasc": vascular,
}


def draw_lesion(dx: str, seed: int, size: Size = (450, 600)) -> NDArray[np.uint8]:
    """Draw one dermoscopy-like picture (H, W, 3) of the class; the same arguments give the same pixels."""
    recipe = RECIPES[dx]
    rng = np.random.default_rng([zlib.crc32(dx.encode()), seed])
    setting = choose_setting(rng)
    tissue = bare_skin(rng, size, setting)
    recipe(rng, tissue)
    picture = photograph(rng, tissue.render(), setting)
    return np.asarray(np.round(picture * 255), dtype=np.uint8)
