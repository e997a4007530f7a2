"""Integrated Gradients (Sundararajan, Taly and Yan, ICML 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skinaudit.interpreters.gradient_map import Point, SampledGradient


@dataclass(frozen=True)
class IntegratedGradients(SampledGradient):
    """Sum over RGB of |(x − b)·(1/n)·Σ_i ∂z_c/∂x (b + α_i·(x − b))|, average-pooled, min-max per image.

    Equation 1 with the midpoint rule α_i = (i − ½)/n, i = 1…n; magnitudes are taken before channels are added. The
    baseline b is one value for all pixels, black by default. A search for an attack does with ``search_steps`` points
    of the same rule.
    """

    steps: int = 32
    search_steps: int = 5
    baseline: float = 0.0
    name: str = "integrated-gradients"

    def points(self, x: Tensor, *, searching: bool) -> tuple[Point, ...]:
        """The path from the baseline to the image, without its ends."""
        count = min(self.steps, self.search_steps) if searching else self.steps
        shares = [(i + 0.5) / count for i in range(count)]
        return tuple(Point(share, torch.full_like(x[0], (1 - share) * self.baseline)) for share in shares)

    def part(self, gradient: Tensor) -> Tensor:
        """The gradient itself."""
        return gradient

    def unscaled(self, mean: Tensor, x: Tensor) -> Tensor:
        """Attributions of pixels, pooled."""
        return self.pooled(((x - self.baseline) * mean).abs().sum(1))
