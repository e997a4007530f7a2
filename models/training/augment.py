"""Random changes of training images: geometry, colour, noise and JPEG."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
import torchvision
from torch import Tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def jpeg(image: Tensor, quality: int) -> Tensor:
    return torchvision.io.decode_jpeg(torchvision.io.encode_jpeg(image, quality))


def geometry(x: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Random rotation, scale, aspect, shift and mirror in one resampling."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(len(x), generator=generator) * (high - low) + low

    angle, zoom, aspect = uniform(-math.pi, math.pi), uniform(0.72, 1.12), uniform(-0.12, 0.12)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    wide, high = zoom * (1 + aspect) * mirror, zoom * (1 - aspect)
    theta = torch.stack(
        [
            torch.stack([angle.cos() * wide, -angle.sin() * high, uniform(-0.12, 0.12)], 1),
            torch.stack([angle.sin() * wide, angle.cos() * high, uniform(-0.12, 0.12)], 1),
        ],
        1,
    )
    grid = functional.affine_grid(theta, [len(x), 3, size, size], align_corners=False)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def colour(x: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation and white balance, as other dermatoscopes would give them."""

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.rand(len(x), channels, 1, 1, generator=generator) * (high - low) + low

    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * uniform(0.75, 1.25)
    mean = x.mean((2, 3), keepdim=True)
    x = mean + (x - mean) * uniform(0.8, 1.2)
    return (x * uniform(0.85, 1.15) * uniform(0.94, 1.06, 3)).clamp(0, 1)


def corrupt(x: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform noise on half of the images, JPEG (quality 60-95) on half of them: 8-bit values come out."""
    level = torch.rand(len(x), 1, 1, 1, generator=generator) * 2 - 1
    noise = (torch.rand(x.shape, generator=generator) * 2 - 1) * level.clamp(0) * (6 / 255)
    pixels = ((x + noise).clamp(0, 1) * 255).round().to(torch.uint8)
    quality = torch.randint(60, 130, (len(x),), generator=generator).tolist()
    return torch.stack([jpeg(p, q) if q <= 95 else p for p, q in zip(pixels, quality, strict=True)]).float() / 255


def normalise(x: Tensor) -> Tensor:
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
