"""Which map the attacker wants: the benign one, that of another image, or a patch where nothing is to be seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skinaudit.config import TargetMap

#: Share of a map's area that a patch covers, drawn uniformly between these.
LEAST_AREA, MOST_AREA = 0.05, 0.25
#: Part of the pixels that count as what the benign map shows; a patch stays clear of them.
SALIENT_SHARE = 0.2
#: Patches that are tried before the one that touches least is taken.
DRAWS = 300
#: Longest side of a rectangle over its shortest, drawn uniformly between 1 and this.
MOST_ASPECT = 2.0
#: Width of a patch's edge, as a share of the map's side: the logistic function falls from 0.73 to 0.27 over two of it.
EDGE = 0.03
#: Why there is no map to take over.
NO_DONOR = "no other image of the wanted class is correctly classified in this run"


@dataclass(frozen=True)
class WantedMap:
    """A wanted map (h,w) in [0,1], what it is, whose it is, and what is to be said of it where it is not as asked."""

    kind: TargetMap
    saliency: Tensor
    donor: str | None = None  # id of the image whose benign map it is
    reason: str | None = None


@dataclass(frozen=True)
class Donor:
    """Another image and its benign map (h,w)."""

    image_id: str
    saliency: Tensor


@dataclass(frozen=True)
class Patch:
    """A random patch as a map (h,w) in [0,1]; ``touched`` of its ``pixels`` are salient in the map it had to avoid."""

    saliency: Tensor
    shape: str  # "disc" or "rectangle"
    pixels: int
    touched: int
    draws: int


def wanted_map(
    kind: TargetMap,
    benign: Tensor,
    seed: int,
    donor: Donor | None = None,
    *,
    why: str = NO_DONOR,
    instead: TargetMap = TargetMap.BENIGN,
) -> WantedMap:
    """The map that is wanted of one image.

    Args:
        kind: which.
        benign: its benign map (h,w).
        seed: where the draws of a patch start.
        donor: whose map is wanted under ``class``.
        why: the reason where there is none.
        instead: what is taken where there is no donor: the benign map, or a patch where the diagnosis is to stay
            (diagnosis and map both left as they are would be no attack).
    """
    if kind is TargetMap.CLASS:
        if donor is not None:
            return WantedMap(kind, donor.saliency, donor.image_id)
        what = "the benign map" if instead is TargetMap.BENIGN else "a random patch"
        found = wanted_map(instead, benign, seed)
        reasons = [f"{why}, so {what} was wanted", *([found.reason] if found.reason else [])]
        return WantedMap(found.kind, found.saliency, reason="; ".join(reasons))
    if kind is TargetMap.BENIGN:
        return WantedMap(kind, benign)
    patch = random_patch(benign, seed)
    reason = (
        f"none of {patch.draws} patches drawn was clear of the benign map's top 20 %; the one taken touches "
        f"{patch.touched} of its {patch.pixels} pixels"
        if patch.touched
        else None
    )
    return WantedMap(kind, patch.saliency, reason=reason)


def choose_donor(correct: Sequence[str], image_id: str, seed: int) -> str | None:
    """Id of the image whose map is wanted: drawn from ``seed`` among ``correct``, never ``image_id``; None: no other.

    >>> choose_donor(["c", "a", "b"], "a", seed=0) in {"b", "c"}, choose_donor(["a"], "a", seed=0)
    (True, None)
    """
    others = sorted(set(correct) - {image_id})
    return others[int(np.random.default_rng(seed).integers(len(others)))] if others else None


def random_patch(benign: Tensor, seed: int, draws: int = DRAWS) -> Patch:
    """A disc or a rotated rectangle that covers none of the most salient pixels of a map, if one can be found.

    Shape, area (5 to 25 % of the map), angle and place are drawn uniformly, the patch lying inside the map, until its
    pixels (those of at least 0.5) avoid the map's top 20 %. Where ``draws`` do not find such a patch, which happens to
    maps whose salient pixels are scattered, the one with the smallest touched share is taken, the first among equals.
    A rejected draw is drawn anew with its area, so small patches are somewhat more frequent than large ones.

    The patch is at the map's own resolution and has a soft edge: a logistic function of the distance from its border,
    scaled to [0,1]. A binary patch would leave the order of all other pixels open, and with it the overlap of the top
    20 %; here the pixels nearest to the patch come next.

    Args:
        benign: map (h,w) to avoid.
        seed: gives the draws.
        draws: most patches that are tried, at least 1.
    """
    random = np.random.default_rng(seed)
    salient = _salient(benign.detach().cpu().double().numpy())
    best: Patch | None = None
    for draw in range(1, draws + 1):
        shape, distance = _drawn(random, salient.shape)
        values = _softened(distance)
        inside = values >= 0.5
        pixels, touched = int(inside.sum()), int((inside & salient).sum())
        if not pixels:
            continue  # so small that it lies between the pixels of a coarse map
        if best is None or touched * best.pixels < best.touched * pixels:
            best = Patch(torch.from_numpy(values), shape, pixels, touched, draw)
            if not touched:
                return best
    if best is None:
        raise ValueError(f"no patch covers a pixel of a map of {salient.shape}; give a map of more pixels")
    return Patch(best.saliency, best.shape, best.pixels, best.touched, draws)


def _salient(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The most salient pixels, as ``top_iou`` counts them."""
    count = max(1, round(SALIENT_SHARE * values.size))
    marked = np.zeros(values.size, dtype=bool)
    marked[np.argsort(-values.ravel(), kind="stable")[:count]] = True
    return marked.reshape(values.shape)


def _drawn(random: np.random.Generator, size: tuple[int, ...]) -> tuple[str, NDArray[np.float64]]:
    """A shape's name and each pixel's signed distance from its border (inside negative), on a map of area 1."""
    height, width = (side / math.sqrt(size[0] * size[1]) for side in size)
    area = float(random.uniform(LEAST_AREA, MOST_AREA))
    disc = bool(random.integers(2))
    aspect, angle = float(random.uniform(1, MOST_ASPECT)), float(random.uniform(0, math.pi))
    where = random.uniform(0, 1, 2)
    radius = math.sqrt(area / math.pi)
    half = (math.sqrt(area * aspect) / 2, math.sqrt(area / aspect) / 2)
    reach = (radius, radius) if disc else _reach(half, angle)
    top, left = (
        near + (side - 2 * near) * share if side > 2 * near else side / 2
        for side, near, share in zip((height, width), reach, where, strict=True)
    )
    rows = (np.arange(size[0]) + 0.5) / size[0] * height - top
    columns = (np.arange(size[1]) + 0.5) / size[1] * width - left
    y, x = np.meshgrid(rows, columns, indexing="ij")
    if disc:
        return "disc", np.hypot(y, x) - radius
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    beyond = np.abs(along) - half[0], np.abs(across) - half[1]
    outside = np.hypot(np.maximum(beyond[0], 0), np.maximum(beyond[1], 0))
    return "rectangle", outside + np.minimum(np.maximum(*beyond), 0)


def _reach(half: tuple[float, float], angle: float) -> tuple[float, float]:
    """How far a rotated rectangle reaches from its centre, up and sideways."""
    cosine, sine = abs(math.cos(angle)), abs(math.sin(angle))
    return half[0] * sine + half[1] * cosine, half[0] * cosine + half[1] * sine


def _softened(distance: NDArray[np.float64]) -> NDArray[np.float32]:
    values = 1 / (1 + np.exp(np.clip(distance / EDGE, -60, 60)))
    low, high = values.min(), values.max()
    scaled: NDArray[np.float64] = (values - low) / max(high - low, np.finfo(float).tiny)
    return scaled.astype(np.float32)
