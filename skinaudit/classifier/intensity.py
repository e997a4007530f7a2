"""Intensity steps of a bundle as differentiable layers: 0–255 pixels in, network input out, each image on its own.

Every layer gives what the MONAI transform of the same name gives for one image at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PixelRange(nn.Module):
    """Pixels in [0,1] to the 0–255 that MONAI's LoadImage gives."""

    def forward(self, x: Tensor) -> Tensor:
        """Scale (N,3,h,w)."""
        return x * 255.0


class ScaleToRange(nn.Module):
    """ScaleIntensity with ``minv``/``maxv``: each image's own minimum and maximum become the ends of the range."""

    def __init__(self, minv: float | None, maxv: float | None, channel_wise: bool) -> None:
        super().__init__()
        self.minv, self.maxv = minv, maxv
        self.axes = (2, 3) if channel_wise else (1, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Scale (N,3,h,w); a constant image becomes itself times ``minv``, as in MONAI."""
        low, high = x.amin(self.axes, keepdim=True), x.amax(self.axes, keepdim=True)
        flat = low == high
        scaled = (x - low) / torch.where(flat, torch.ones_like(low), high - low)
        if self.minv is not None and self.maxv is not None:
            scaled = scaled * (self.maxv - self.minv) + self.minv
        return torch.where(flat, x if self.minv is None else x * self.minv, scaled)


class ScaleByFactor(nn.Module):
    """ScaleIntensity with ``factor``: v (1 + factor)."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Scale (N,3,h,w)."""
        return x * (1 + self.factor)


class ScaleFixedRange(nn.Module):
    """ScaleIntensityRange: [a_min, a_max] becomes [b_min, b_max], clipped when asked."""

    def __init__(self, a_min: float, a_max: float, b_min: float | None, b_max: float | None, clip: bool) -> None:
        super().__init__()
        self.a_min, self.a_max, self.b_min, self.b_max, self.clip = a_min, a_max, b_min, b_max, clip

    def forward(self, x: Tensor) -> Tensor:
        """Scale (N,3,h,w)."""
        x = (x - self.a_min) / (self.a_max - self.a_min)
        if self.b_min is not None and self.b_max is not None:
            x = x * (self.b_max - self.b_min) + self.b_min
        return x.clamp(self.b_min, self.b_max) if self.clip else x


class Normalise(nn.Module):
    """NormalizeIntensity: (v - subtrahend) / divisor, from given statistics or the image's own mean and deviation."""

    subtrahend: Tensor | None
    divisor: Tensor | None

    def __init__(
        self, subtrahend: tuple[float, ...] | None, divisor: tuple[float, ...] | None, channel_wise: bool
    ) -> None:
        super().__init__()
        self.axes = (2, 3) if channel_wise else (1, 2, 3)
        for name, numbers in (("subtrahend", subtrahend), ("divisor", divisor)):
            column = None if numbers is None else torch.tensor(numbers, dtype=torch.float32).reshape(1, -1, 1, 1)
            self.register_buffer(name, column, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N,3,h,w); a deviation of zero divides by one, as in MONAI."""
        mean = x.mean(self.axes, keepdim=True) if self.subtrahend is None else self.subtrahend
        if self.divisor is None:
            variance = x.var(self.axes, correction=0, keepdim=True)
            flat = variance == 0
            # The root is taken of 1 where the variance is 0: its derivative at 0 is infinite and would give NaN.
            divisor = torch.where(flat, torch.ones_like(variance), variance).sqrt()
        else:
            divisor = torch.where(self.divisor == 0, torch.ones_like(self.divisor), self.divisor)
        return (x - mean) / divisor
