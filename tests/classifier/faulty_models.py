"""Networks with one fault each, and the healthy one they are made from: what an auditor must not overlook."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skinaudit.classifier.bundle import Bundle, read_bundle
from skinaudit.classifier.classifier import Classifier
from tests.bundles import make_bundle

CLASSES = ("mel", "nv", "bkl")
SIDE = 32
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@cache
def bundle() -> Bundle:
    """A bundle whose pre-processing ends in ImageNet's statistics; its own network is not used."""
    return read_bundle(make_bundle(Path(mkdtemp()) / "healthy", classes=CLASSES, size=SIDE))


def classifier(network: nn.Module, *, normalised: bool = True, classes: tuple[str, ...] = CLASSES) -> Classifier:
    """The network behind a bundle's intensity steps, or behind bare pixels in [0,1]."""
    found = Classifier(replace(bundle(), classes=classes), network)
    if not normalised:
        found.intensity = nn.Sequential(nn.Identity())
    return found


def pictures(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images (count,3,32,32) in [0,1] and labels: left, top or centre is brighter, and red exceeds blue."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    ramp = torch.linspace(1, 0, SIDE)
    bumps = torch.stack([ramp.expand(SIDE, SIDE), ramp[:, None].expand(SIDE, SIDE), _centre()])
    light = bumps[labels][:, None] * 0.35
    grain = torch.rand(count, 3, SIDE, SIDE, generator=generator) * 0.2
    tone = torch.tensor([0.45, 0.25, 0.1]).reshape(1, 3, 1, 1)
    return (light * tone / 0.27 + tone + grain).clamp(0, 1), labels


def _centre() -> Tensor:
    away = torch.linspace(-1, 1, SIDE) ** 2
    return torch.exp(-3 * (away[:, None] + away))


class Healthy(nn.Module):
    """Convolution, batch norm with learned statistics, a head fitted to ``pictures`` by least squares."""

    def __init__(self, turn: str = "", *, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            self.convolution = nn.Conv2d(3, 12, 5, stride=2)
            self.norm: nn.Module = nn.BatchNorm2d(12, momentum=None)
            self.head = nn.Linear(12 * 16, len(CLASSES))
            self._fit(turn)
        self.eval()

    def _fit(self, turn: str) -> None:
        x, labels = pictures(90, seed=77)
        x = {"": x, "transposed": x.transpose(2, 3), "blue first": x.flip(1)}[turn]
        x = (x - torch.tensor(MEAN).reshape(1, 3, 1, 1)) / torch.tensor(DEVIATION).reshape(1, 3, 1, 1)
        self.norm.train()
        self.norm(self.convolution(x))
        self.norm.eval()
        given = torch.cat([self.features(x).flatten(1), torch.ones(90, 1)], 1)
        wanted = F.one_hot(labels, 3) * 8.0 - 4.0
        weights = torch.linalg.solve(given.T @ given + 0.1 * torch.eye(given.shape[1]), given.T @ wanted)
        self.head.weight.copy_(weights[:-1].T)
        self.head.bias.copy_(weights[-1])

    def features(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(F.relu(self.norm(self.convolution(x))), 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x).flatten(1))
        return logits


class AveragesOverTheBatch(Healthy):
    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        mixed = 0.5 * features + 0.5 * features.mean(0, keepdim=True)
        logits: Tensor = self.head(mixed.flatten(1))
        return logits


class AveragesOverLargeBatches(AveragesOverTheBatch):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if len(x) > 4 else Healthy.forward(self, x)


class KnowsItsPlace(Healthy):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.arange(len(x), device=x.device)[:, None] * torch.tensor([0.3, 0.0, -0.3])


class OneAtATime(Healthy):
    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x).reshape(1, -1))
        return logits


class LiveDropout(Healthy):
    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(F.dropout(self.features(x).flatten(1), 0.3, training=True))
        return logits


class Noisy(Healthy):
    """Random without any dropout layer."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.2 * torch.randn_like(x))


class BatchNormWithoutStatistics(Healthy):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(12, track_running_stats=False)


class TrainsItself(Healthy):
    """Puts its batch norm back into training mode whenever it is called."""

    def forward(self, x: Tensor) -> Tensor:
        self.train()
        return super().forward(x)


class Wrapped(nn.Module):
    """A healthy network with a last step."""

    def __init__(self, last: nn.Module, network: nn.Module | None = None) -> None:
        super().__init__()
        self.network, self.last = network or Healthy(), last

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.network(x))
        return outputs


class Rounded(Healthy):
    """Rounds its input, so that no gradient passes."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x * 16).round() / 16)


class Detached(Healthy):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


class InfiniteSlope(Healthy):
    """The square root of nothing: outputs are finite, gradients are not."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (x * 0).abs().sum((1, 2, 3)).sqrt()[:, None]


class Sawtooth(Healthy):
    """Outputs of a usual size whose slope is a million times too steep."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.sin(x.flatten(1).sum(1, keepdim=True) * 1e6) * torch.tensor([1.0, 0.0, 0.0])


class Scaled(nn.Module):
    """Multiplies; enough of it makes every confidence 1."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class ExtraOutput(Healthy):
    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return torch.cat([logits, logits[:, :1] - 5], 1)


def mixing() -> nn.Module:
    """A model for ``--trust-code`` whose predictions depend on their neighbours."""
    return AveragesOverTheBatch()


def sound() -> nn.Module:
    """The same without the fault."""
    return Healthy()
