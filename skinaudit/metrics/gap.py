"""The gap index: how freely diagnosis and map can be chosen, each without regard for the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skinaudit.metrics.intervals import Interval, wilson


@dataclass(frozen=True, slots=True)
class GapIndex:
    """Pairs of (class, map) drawn apart from each other and reached together: ``reached`` of ``n``, Wilson interval."""

    reached: int
    n: int
    interval: Interval

    @property
    def value(self) -> float:
        """Share in [0, 1]; NaN where nothing was tried."""
        return self.reached / self.n if self.n else float("nan")


def gap_index(class_reached: Sequence[bool], map_reached: Sequence[bool], confidence: float = 0.95) -> GapIndex:
    """Share of pairs (random class, map of a random patch) that one changed image reached both of.

    1 says that the interpreter shows whatever an attacker wants, whatever the classifier says: the two do not depend on
    each other. 0 says that no map could be had together with a class that does not belong to it.

    Source: Zhang et al., "Interpretable deep learning under fire", USENIX Security 2020: the gap between prediction and
    interpretation as the root cause, here as a number.

    Args:
        class_reached: for each pair, whether the saved image is put into the class that was drawn.
        map_reached: for the same pairs in the same order, whether its map is the one that was drawn.
        confidence: of the interval, in (0, 1).

    Raises:
        ValueError: the two differ in length, an outcome is neither true nor false, or ``confidence`` is outside (0, 1).

    >>> found = gap_index([True, True, False, True], [True, False, True, True])
    >>> found.reached, found.n, found.value
    (2, 4, 0.5)
    """
    if len(class_reached) != len(map_reached):
        raise ValueError(
            f"a pair has a class and a map, got {len(class_reached)} outcomes of classes and {len(map_reached)} of maps"
        )
    if not all(outcome in (True, False) for outcome in (*class_reached, *map_reached)):
        raise ValueError("an outcome is true or false, nothing else")
    reached = sum(bool(one) and bool(other) for one, other in zip(class_reached, map_reached, strict=True))
    return GapIndex(reached, len(class_reached), wilson(reached, len(class_reached), confidence))
