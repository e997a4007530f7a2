"""The mask generator of RTS: class selector on the classifier's deepest features, sub-pixel up-samplers with skips.

Dabkowski and Gal, NeurIPS 2017, section 4. The audited classifier is the encoder; only what stands here is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

#: Channels after the deepest scale and after each up-sampler; the last one serves all that follow.
WIDTHS = (96, 64, 48, 32)
#: Stride of a map: 56 × 56 of 224 × 224 pixels.
STRIDE = 4
#: What evidence of a class must exceed before it opens the gate (published setting for skin lesions).
CONFIDENCE = 0.0
#: Guard of |a| + |b|.
_SMALLEST = 1e-4


@dataclass(frozen=True)
class Scale:
    """Channels and extent (h, w) of one scale of features."""

    channels: int
    extent: tuple[int, int]

    @classmethod
    def of(cls, features: Tensor) -> Scale:
        """Of features (N,C,h,w)."""
        return cls(features.shape[1], (features.shape[2], features.shape[3]))


def grid_of(size: tuple[int, int]) -> tuple[int, int]:
    """Extent (h, w) of the map of images of this size (H, W).

    >>> grid_of((224, 224)), grid_of((33, 35))
    ((56, 56), (9, 9))
    """
    return -(-size[0] // STRIDE), -(-size[1] // STRIDE)


class Standardise(nn.Module):
    """(f − mean of each channel) / one scale for all channels; both are measured before the fit.

    One scale only: dividing each channel by its own spread would enlarge channels that rest on natural images.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(()))

    def measure(self, features: Tensor) -> None:
        """Take both from features (N,C,h,w) of natural images."""
        variance, mean = torch.var_mean(features.float(), (0, 2, 3))
        self.mean.copy_(mean)
        self.scale.copy_(variance.mean().sqrt().clamp_min(1e-6))

    def forward(self, features: Tensor) -> Tensor:
        """Same shape as the features (N,C,h,w)."""
        return (features - self.mean[:, None, None]) / self.scale


class UpSampler(nn.Module):
    """Sub-pixel convolution to a larger extent, then the skip of that extent, if there is one."""

    def __init__(self, inputs: int, outputs: int, start: tuple[int, int], end: tuple[int, int], skip: int) -> None:
        super().__init__()
        factor = max(1, round(max(end[0] / start[0], end[1] / start[1])))
        self.end = end
        self.enlarge = nn.Sequential(_convolution(inputs, outputs * factor**2), nn.ReLU(), nn.PixelShuffle(factor))
        self.standardise = Standardise(skip) if skip else None
        self.reduce = _convolution(skip, outputs, 1) if skip else None
        self.merge = nn.Sequential(_convolution(outputs * 2 if skip else outputs, outputs), nn.ReLU())

    def forward(self, below: Tensor, skip: Tensor | None) -> Tensor:
        """Features (N,outputs,*end) of those below, and of the skip (N,skip,*end)."""
        larger: Tensor = self.enlarge(below)
        if larger.shape[2:] != self.end:
            larger = functional.interpolate(larger, self.end, mode="bilinear", align_corners=False)
        if skip is not None and self.standardise is not None and self.reduce is not None:
            larger = torch.cat([larger, functional.relu(self.reduce(self.standardise(skip)))], 1)
        merged: Tensor = self.merge(larger)
        return merged


class MaskGenerator(nn.Module):
    """Maps (N,h,w) in [0,1] of classes (N,), and the evidence (N,K) for each class, from features of all scales.

    Args:
        scales: of the classifier, the deepest first.
        classes: how many the classifier has.
        grid: (h, w) of the map.
    """

    def __init__(self, scales: Sequence[Scale], classes: int, grid: tuple[int, int]) -> None:
        super().__init__()
        deepest = scales[0]
        self.standardise = Standardise(deepest.channels)
        # Linear: <feature, embedding> averaged over the image is <pooled feature, embedding>.
        self.selector = nn.Conv2d(deepest.channels, classes, 1, bias=False)
        nn.init.normal_(self.selector.weight, std=deepest.channels**-0.5)
        self.reduce = nn.Sequential(_convolution(deepest.channels, WIDTHS[0], 1), nn.ReLU())
        steps: list[UpSampler] = []
        ends = [(scale.extent, scale.channels) for scale in scales[1:]]
        if not ends or ends[-1][0] != grid:
            ends.append((grid, 0))
        width, extent = WIDTHS[0], deepest.extent
        for place, (end, skip) in enumerate(ends, 1):
            outputs = WIDTHS[min(place, len(WIDTHS) - 1)]
            steps.append(UpSampler(width, outputs, extent, end, skip))
            width, extent = outputs, end
        self.steps = nn.ModuleList(steps)
        self.last = nn.Conv2d(width, 2, 3, padding=1)
        with torch.no_grad():
            # Away from 0, where the derivative of |a| / (|a| + |b|) has no bound; m begins at 0.23.
            self.last.bias.copy_(torch.tensor([0.3, 1.0]))  # type: ignore[union-attr]  # it has one

    def forward(self, scales: Sequence[Tensor], classes: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (N,h,w) and evidence (N,K) of features (N,C,h,w), the deepest first."""
        deep = self.standardise(scales[0])
        places = self.selector(deep)
        chosen = places.gather(1, classes[:, None, None, None].expand(-1, 1, *places.shape[2:]))
        below = self.reduce(deep * (chosen - CONFIDENCE).sigmoid())
        for place, step in enumerate(self.steps, 1):
            below = step(below, scales[place] if place < len(scales) else None)
        first, second = self.last(below).abs().unbind(1)
        return first / (first + second + _SMALLEST), places.mean((2, 3))

    def measure(self, scales: Sequence[Tensor]) -> None:
        """Set the standardisation of every scale from features of natural images."""
        self.standardise.measure(scales[0])
        for step, features in zip(self.steps, scales[1:], strict=False):
            if isinstance(step, UpSampler) and step.standardise is not None:
                step.standardise.measure(features)


def _convolution(inputs: int, outputs: int, side: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False), nn.BatchNorm2d(outputs))
