"""Drift thresholds: how far a map may move before it no longer counts as kept."""

from __future__ import annotations

from skinaudit.config import Frozen


class DriftThreshold(Frozen):
    """Limits of one interpreter on one model, measured on clean images under harmless changes.

    A map is *kept* when its L1 distance to the benign map is <= ``l1`` and its top-20 % IoU is >= ``iou20``.
    """

    interpreter: str
    l1: float
    iou20: float
    images: int
    pairs: int
    by_change: dict[str, tuple[float, int]]  # change -> (95th percentile of L1, pairs)
    data_digest: str
    model_digest: str

    def keeps(self, l1: float, iou20: float) -> bool:
        """Is a map at these distances one that harmless changes would also give?"""
        return l1 <= self.l1 and iou20 >= self.iou20
