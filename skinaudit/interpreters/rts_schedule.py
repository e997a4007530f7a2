"""How a fit of RTS goes: its settings, which images are held out, and the learning rate of a step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from skinaudit.interpreters.rts_demand import REFINED, Demand


@dataclass(frozen=True)
class FitSettings:
    """How the generator is fitted.

    Epochs follow ``demand``; ``patience`` counts those without a better held-out loss. The best is then refined: a
    last, shorter epoch over ``refine_share`` of the images follows ``refined`` at half the learning rate. Short,
    because that demand lets masks grow, and in trials on photographs of the training folder more of it made deletion
    worse. ``half``: the classifier judges masked images in bfloat16.
    """

    epochs: int = 5
    batch_size: int = 8
    learning_rate: float = 3e-3
    held_out: float = 0.08
    patience: int = 2
    absent_share: float = 0.25
    seed: int = 0
    demand: Demand = field(default_factory=Demand)
    refined: Demand = REFINED
    refine_share: float = 0.25
    half: bool = False


def split(count: int, settings: FitSettings) -> tuple[list[int], list[int]]:
    """Images that are held out, and those that are trained on."""
    order = [int(place) for place in np.random.default_rng([settings.seed, 0]).permutation(count)]
    cut = max(1, round(settings.held_out * count))
    return sorted(order[:cut]), sorted(order[cut:])


def rate_at(position: int, total: int) -> float:
    """One cycle: up over the first tenth of the steps, then down along a cosine to a hundredth."""
    rising = max(1, total // 10)
    if position < rising:
        return (position + 1) / rising
    share = (position - rising) / max(1, total - rising)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
