"""What an interpreter is, and how a raw map becomes a map in [0,1]."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

#: Smallest range of a raw map, relative to its largest value, that still counts as a map and not as rounding.
_FLAT = 1e-6


class InterpreterUnavailable(ValueError):
    """This interpreter cannot explain this network, or is not known; the message says what to do."""


class Interpreter(Protocol):
    """A way to explain a diagnosis: an image and a class become a map."""

    @property
    def name(self) -> str:
        """Name in options and records."""

    def explain(self, x: Tensor, classes: Tensor) -> Tensor:
        """Maps (N,h,w) in [0,1] that a clinician sees for images x (N,3,H,W) in [0,1] and class indices (N,)."""

    def differentiable(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N,K) and the same maps from one shared forward pass, both with a graph to x."""


def min_max(maps: Tensor, *, hold_low: bool = False) -> Tensor:
    """Scale each map (N,h,w) to [0,1]; a constant map becomes zero instead of a division by zero.

    With ``hold_low`` the value is the same, but its derivative takes the lowest value of the map for a constant.

    >>> min_max(torch.tensor([[[1.0, 3.0], [2.0, 5.0]], [[4.0, 4.0], [4.0, 4.0]]])).tolist()
    [[[0.0, 0.5], [0.25, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]
    """
    low = (maps.detach() if hold_low else maps).amin((1, 2), keepdim=True)
    high = maps.amax((1, 2), keepdim=True)
    span = high - low
    floor = _FLAT * torch.maximum(low.abs(), high.abs()).detach() + torch.finfo(maps.dtype).tiny
    return torch.where(span > floor, (maps - low) / span.clamp_min(floor), torch.zeros_like(maps))
