"""How an image is searched: the constants of the loop, by family of interpreters."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

#: First λ and its growth per step while the class is held, by family of interpreters (mean squared map distance).
_WEIGHTS = {"activation": (20.0, 1.15), "gradient": (50.0, 1.08), "learned": (20.0, 1.15), "perturbation": (1.0, 1.08)}
#: First and last step of a flow, as shares of the most that a pixel may move.
_FLOW_STEPS = (1 / 4, 1 / 80)


@dataclass(frozen=True)
class LoopSettings:
    """How an image is searched.

    Values were chosen by trials on validation photographs, not on those of the strength tables: ``enough``,
    ``fallback`` and ``far`` on CAM, ``map_first`` on RTS of the second model. That ``far`` exists was prompted by
    photographs of the second model's table.
    """

    steps: int
    warm_steps: int
    early_stop: bool
    first_step: float = 2.25 / 255
    last_step: float = 0.1 / 255
    momentum: float = 0.9
    weight: float = 1.0
    weight_up: float = 1.08
    weight_down: float = 0.85
    most_weight: float = 1e5  # a held class for hundreds of steps must not make λ too large to come down again
    patience: int = 20
    improvement: float = 0.01
    look_every: int = 10
    #: Not every network becomes as sure as 0.95 of anything. After the warm start this share of the most that an
    #: image has reached is enough: otherwise λ would only sink, and such a network would pass for robust.
    enough: float = 0.9
    #: While the map of such an image was never kept with that, this share of it is enough to press on the map.
    fallback: float = 0.6
    #: Press so on every image, however sure it can become, until its map was kept once; only then ask for more.
    map_first: bool = False
    #: After a third of the steps press so on an image whose nearest map, with the class held well, is still this many
    #: times its limit away or more.
    far: float = math.inf

    @classmethod
    def for_attack(
        cls,
        family: str | None,
        *,
        steps: int,
        warm_steps: int,
        early_stop: bool,
        flow_limit: float | None = None,
    ) -> LoopSettings:
        """Settings that measured best for a family of interpreters; None is PGD.

        Steps are in units of the pixel range, or in pixels for a flow: then the same shares of its limit.
        """
        weight, weight_up = _WEIGHTS.get(family or "", (1.0, 1.08))
        found = cls(steps, warm_steps, early_stop, weight=weight, weight_up=weight_up, map_first=family == "learned")
        if family == "activation":
            found = replace(found, far=4.0)
        if family == "perturbation":  # its distance is known every few steps only, and goes up and down
            found = replace(found, patience=60)
        if flow_limit is None:
            return found
        return replace(found, first_step=_FLOW_STEPS[0] * flow_limit, last_step=_FLOW_STEPS[1] * flow_limit)

    @property
    def far_from(self) -> int:
        """The step from which on a map that is ``far`` away comes first."""
        return max(self.warm_steps, self.steps // 3)

    @property
    def half_way(self) -> int:
        """The step from which on an image can settle: before, the steps are too large for it."""
        return max(self.warm_steps, self.steps // 2)

    def step_size(self, step: int) -> float:
        """Cosine from the first to the last step size over the steps of a row."""
        share = step / max(1, self.steps - 1)
        return self.last_step + (self.first_step - self.last_step) * 0.5 * (1 + math.cos(math.pi * share))
