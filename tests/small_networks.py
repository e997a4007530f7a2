"""Small frozen networks and seeded images for tests that need gradients but no knowledge."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A frozen network in evaluation mode whose random weights depend on ``seed`` alone."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        return build().eval().requires_grad_(requires_grad=False)


def small_network(activation: type[nn.Module] = nn.ReLU, *, classes: int = 3, seed: int = 0) -> nn.Module:
    """Two convolutions, global average pooling and one linear layer; predicts every class and can be attacked."""

    def build() -> nn.Module:
        head = nn.Linear(12, classes)
        features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), activation(), nn.Conv2d(8, 12, 3, stride=2), activation(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        usual = features(images(64).float() / 255)
        nn.init.normal_(head.weight, std=4.0)
        head.weight /= usual.std(0) + 0.2 * usual.std()
        head.bias.copy_(-head.weight @ usual.mean(0))
        return nn.Sequential(*features, head)

    return seeded(build, seed)


def images(count: int, *, height: int = 33, width: int = 35, seed: int = 0) -> Tensor:
    """Random pixels (count,3,height,width) uint8; the sides are odd so that no vector of floats fits a row exactly."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth * 235 + torch.randint(0, 21, smooth.shape, generator=generator)).to(torch.uint8)


class Bypass(nn.Module):
    """Logits that do not use the last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.unused, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        features = self.first(x)
        self.unused(features)
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits
