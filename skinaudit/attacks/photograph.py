"""Where the attacker may go when only the photograph is in reach, before the model's own geometry resizes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from skinaudit.attacks.perturbation import Perturbation


@dataclass(frozen=True)
class OnPhotograph:
    """A change of the full-size photograph, of which the network sees what the geometry leaves.

    ``inner`` says what may be done to the photograph; ``geometry`` takes one picture (3,H,W) in 0…255 to (3,h,w), is
    linear, and keeps the graph. Images are (N,3,H,W) of one size.
    """

    inner: Perturbation
    geometry: Callable[[Tensor], Tensor]

    def start(self, x0: Tensor, begin: Tensor | None = None) -> Tensor:
        """No change of the photographs, or the one that ``begin`` shows."""
        return self.inner.start(x0, begin)

    def apply(self, x0: Tensor, z: Tensor) -> Tensor:
        """The changed photographs, in their own size."""
        return self.inner.apply(x0, z)

    def seen(self, pictures: Tensor) -> Tensor:
        """The photographs through the geometry: (N,3,h,w), about [0,1]; bicubic resampling may overshoot."""
        return torch.stack([self.geometry(one * 255) for one in pictures]) / 255

    def pull_back(self, x0: Tensor, z: Tensor, gradient: Tensor) -> Tensor:
        """Through the geometry to the photographs, and from there on as the inner change has it."""
        with torch.enable_grad():
            # A linear map has the same transpose everywhere, so that the pictures themselves are not needed.
            leaf = torch.zeros_like(x0).requires_grad_()
            (wide,) = torch.autograd.grad(self.seen(leaf), leaf, gradient)
        return self.inner.pull_back(x0, z, wide)

    def direction(self, velocity: Tensor) -> Tensor:
        """As the inner change has it."""
        return self.inner.direction(velocity)

    def step(self, x0: Tensor, z: Tensor, direction: Tensor, size: Tensor) -> Tensor:
        """As the inner change has it: its limits are those of the photograph's own pixels."""
        return self.inner.step(x0, z, direction, size)

    def extent(self, z: Tensor) -> Tensor:
        """As the inner change has it."""
        return self.inner.extent(z)
