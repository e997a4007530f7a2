"""What is asked of the search, and what it found."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

#: Candidates an image hands to the judge.
CANDIDATES = 3


@dataclass(frozen=True)
class MapGoal:
    """A wanted map (h,w) and when it counts as reached.

    ``most_distance`` and ``least_overlap`` are the drift limits (L1, IoU of the top 20 %); a map within both whose L1
    is at most ``near_enough`` ends the search early.
    """

    target: Tensor
    most_distance: float = 1.0
    least_overlap: float = 0.0
    near_enough: float = 0.0


@dataclass(frozen=True)
class Task:
    """One image to attack: uint8 pixels (3,H,W), the wanted class and one wanted map for each map that is matched."""

    key: str
    x0: Tensor
    target_class: int
    maps: tuple[MapGoal, ...] = ()
    begin: Tensor | None = None  # a changed picture (3,H,W) uint8 to search on from; None: x0


@dataclass(frozen=True)
class Outcome:
    """What the search found: candidates (n ≤ 3, 3, H, W) uint8, best first; the verdict is the judge's.

    ``extents`` (n,E) is what the perturbation tells of the size of each change beside its pixels.
    """

    key: str
    candidates: Tensor
    extents: Tensor
    steps: int
    stop: str
    seconds: float
