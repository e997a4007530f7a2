"""SmoothGrad (Smilkov et al. 2017, arXiv 1706.03825)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skinaudit.interpreters.gradient_map import Point, SampledGradient


@dataclass(frozen=True)
class SmoothGrad(SampledGradient):
    """Maximum over RGB of (1/n)·Σ_i |∂z_c/∂x (x + σ·ν_i)|, ν_i standard normal, average-pooled, min-max per image.

    The variant that averages magnitudes (not signed gradients, not their squares). σ is a share of the range of pixels,
    which is 1, whatever the range of the image at hand. The noise comes from ``seed`` and is the same for every image,
    so that a map does not depend on when or beside what it was computed. ``samples`` and ``sigma`` are the defaults of
    MONAI. A search for an attack sees the first ``search_samples`` of the same noise.
    """

    samples: int = 25
    search_samples: int = 5
    sigma: float = 0.15
    seed: int = 0
    name: str = "smooth-grad"

    def points(self, x: Tensor, *, searching: bool) -> tuple[Point, ...]:
        """Noisy copies of the image, not clipped to [0,1]."""
        generator = torch.Generator().manual_seed(self.seed)
        count = min(self.samples, self.search_samples) if searching else self.samples
        draws = (torch.randn(x.shape[1:], generator=generator) for _ in range(count))
        return tuple(Point(shift=self.sigma * draw.to(x)) for draw in draws)

    def part(self, gradient: Tensor) -> Tensor:
        """Its magnitude."""
        return gradient.abs()

    def unscaled(self, mean: Tensor, x: Tensor) -> Tensor:
        """The strongest channel, pooled."""
        return self.pooled(mean.amax(1))
