"""All distances between two saliency maps that a result carries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MapDistances:
    """Distances of a map to a reference map, both in [0,1] at native resolution; never NaN."""

    l1: float
    rms: float
    iou10: float
    iou20: float
    iou30: float
    iou_half: float
    spearman: float
    ssim: float
