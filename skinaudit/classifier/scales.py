"""Features of every spatial scale of a convolutional classifier, seen during one ordinary forward pass."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from skinaudit.classifier.features import LastFeatureMap

#: A scale is another one when its longer side is at least this many times that of the scale below it.
_APART = 1.5


class FeatureScales(LastFeatureMap):
    """Remembers, of each spatial extent, the last (N,C,h,w) tensor that stood at or after a convolution.

    As ``LastFeatureMap``, whose ``features`` are the deepest scale. Extents that exceed ``most`` (h, w) are not kept:
    they would hold memory for nothing. Gone after the ``with``.
    """

    def __init__(self, most: tuple[int, int]) -> None:
        super().__init__()
        self._most = most
        self._seen: dict[tuple[int, int], Tensor] = {}

    def _note(self, func: Callable[..., object], result: Tensor) -> None:
        super()._note(func, result)
        if self._features is not result:
            return
        extent = (result.shape[2], result.shape[3])
        if extent[0] <= self._most[0] and extent[1] <= self._most[1]:
            self._seen[extent] = result

    @property
    def scales(self) -> tuple[Tensor, ...]:
        """Features (N,C,h,w), the deepest first, each at least half as large again as the one before; with graph.

        Raises:
            FeaturesUnavailable: as ``features``.
        """
        deepest = self.features
        chosen = [deepest]
        for extent in sorted(self._seen):
            height, width = chosen[-1].shape[2], chosen[-1].shape[3]
            grows = extent[0] >= height and extent[1] >= width
            if grows and max(extent[0] / height, extent[1] / width) >= _APART:
                chosen.append(self._seen[extent])
        return tuple(chosen)
