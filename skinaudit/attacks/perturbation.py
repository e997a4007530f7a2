"""Where the attacker may go. L∞: the box of radius ε around the image, cut to the pixel range.

A flow of the pixels is in ``flow.py``; a change of the photograph before it is resized in ``photograph.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Perturbation(Protocol):
    """A set of allowed changes, parametrised by z of the image's leading dimension N."""

    def start(self, x0: Tensor, begin: Tensor | None = None) -> Tensor:
        """First z for images x0 (N,3,H,W) in [0,1]; ``begin`` is a changed picture to go on from, where that can be."""

    def apply(self, x0: Tensor, z: Tensor) -> Tensor:
        """The changed images (N,3,H,W) in [0,1]: at 8 bits, the pictures that are saved."""

    def seen(self, pictures: Tensor) -> Tensor:
        """What the network gets of pictures (N,3,H,W) in [0,1]: (N,3,h,w)."""

    def pull_back(self, x0: Tensor, z: Tensor, gradient: Tensor) -> Tensor:
        """The gradient in z (like z) of a loss whose gradient in what the network gets is given."""

    def direction(self, velocity: Tensor) -> Tensor:
        """A step of size one against a velocity (like z)."""

    def step(self, x0: Tensor, z: Tensor, direction: Tensor, size: Tensor) -> Tensor:
        """z after a step of ``size`` (N,) along ``direction`` (like z), projected back to what is allowed."""

    def extent(self, z: Tensor) -> Tensor:
        """What only z tells of the size of a change, (N,E) per image; E may be zero."""


@dataclass(frozen=True)
class LInf:
    """‖x − x₀‖∞ ≤ ε with ε a whole number of 8-bit grey levels, so that rounding to 8 bits never leaves the ball."""

    levels: int

    def start(self, x0: Tensor, begin: Tensor | None = None) -> Tensor:
        """No change, as the published attack has no random start either; or the change that ``begin`` shows."""
        return torch.zeros_like(x0) if begin is None else (begin - x0).clamp(-self.levels / 255, self.levels / 255)

    def apply(self, x0: Tensor, z: Tensor) -> Tensor:
        """x₀ + z inside [0,1]."""
        return (x0 + z).clamp(0, 1)

    def seen(self, pictures: Tensor) -> Tensor:
        """The pictures themselves."""
        return pictures

    def pull_back(self, x0: Tensor, z: Tensor, gradient: Tensor) -> Tensor:
        """The gradient itself: straight through rounding and the ends of the pixel range."""
        del x0, z
        return gradient

    def direction(self, velocity: Tensor) -> Tensor:
        """Every value one unit down its slope."""
        return -velocity.sign()

    def step(self, x0: Tensor, z: Tensor, direction: Tensor, size: Tensor) -> Tensor:
        """z + size·direction, inside the ball and such that x₀ + z stays in [0,1]."""
        radius = self.levels / 255
        moved = torch.addcmul(z, direction, size.view(-1, 1, 1, 1)).clamp_(-radius, radius)
        return torch.minimum(torch.maximum(moved, -x0), 1 - x0)

    def extent(self, z: Tensor) -> Tensor:
        """Nothing: the saved picture tells the whole change."""
        return z.new_zeros(len(z), 0)


def round_to_8_bit(x: Tensor) -> Tensor:
    """Images in [0,1] at the 256 values that a saved picture can hold."""
    return (x * 255).round_().div_(255)
