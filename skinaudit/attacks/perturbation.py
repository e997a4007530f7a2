"""Where the attacker may go. L∞: the box of radius ε around the image, cut to the pixel range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Perturbation(Protocol):
    """A set of allowed changes, parametrised by z of the image's leading dimension N."""

    def start(self, x0: Tensor) -> Tensor:
        """First z for images x0 (N,3,H,W) in [0,1]."""

    def apply(self, x0: Tensor, z: Tensor) -> Tensor:
        """The changed images (N,3,H,W) in [0,1]."""

    def step(self, x0: Tensor, z: Tensor, direction: Tensor, size: Tensor) -> Tensor:
        """z after a step of ``size`` (N,) along ``direction`` (like x0), projected back to what is allowed."""


@dataclass(frozen=True)
class LInf:
    """‖x − x₀‖∞ ≤ ε with ε a whole number of 8-bit grey levels, so that rounding to 8 bits never leaves the ball."""

    levels: int

    def start(self, x0: Tensor) -> Tensor:
        """No change: the published attack has no random start either."""
        return torch.zeros_like(x0)

    def apply(self, x0: Tensor, z: Tensor) -> Tensor:
        """x₀ + z inside [0,1]."""
        return (x0 + z).clamp(0, 1)

    def step(self, x0: Tensor, z: Tensor, direction: Tensor, size: Tensor) -> Tensor:
        """z + size·direction, inside the ball and such that x₀ + z stays in [0,1]."""
        radius = self.levels / 255
        moved = torch.addcmul(z, direction, size.view(-1, 1, 1, 1)).clamp_(-radius, radius)
        return torch.minimum(torch.maximum(moved, -x0), 1 - x0)


def round_to_8_bit(x: Tensor) -> Tensor:
    """Images in [0,1] at the 256 values that a saved picture can hold."""
    return (x * 255).round_().div_(255)
