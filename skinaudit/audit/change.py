"""How far a picture is from the one it was made of, measured on what was saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skinaudit.metrics.images import image_ssim, linf_levels

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Change:
    """L∞ in grey levels and SSIM of the saved picture; where pixels were moved, how far in pixels."""

    linf_levels: int
    image_ssim: float
    displacement_max: float | None = None
    displacement_mean: float | None = None


def measure_change(before: Tensor, after: Tensor, extent: Sequence[float] = ()) -> Change:
    """The change between two pictures (3,H,W) uint8.

    Args:
        before: the picture that the attacker started from.
        after: the saved picture, read back.
        extent: largest and mean displacement of its pixels, from the search; empty: none was moved.
    """
    one, other = (picture.permute(1, 2, 0).contiguous().numpy() for picture in (before, after))
    largest, mean = extent or (None, None)
    return Change(linf_levels(one, other), image_ssim(one, other), largest, mean)
