"""Maps made of input gradients at several points of each image, and what an attack must know of them.

Points are p_i(x) = s_i·x + b_i; at each the gradient g_i of a score is taken; the map is a function of the mean over i
of a part of g_i, and perhaps of x itself. GRAD has the one point x, SmoothGrad noisy copies of x, Integrated Gradients
a path from black to x.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from skinaudit.interpreters.base import Interpreter, min_max
from skinaudit.interpreters.smooth import SmoothedActivations, Smoothing


@dataclass(frozen=True)
class Point:
    """A place p(x) = ``scale``·x + ``shift`` where a gradient is taken; without arguments it is x itself."""

    scale: float = 1.0
    shift: Tensor | None = None  # (3,H,W), the same for every image

    @property
    def is_the_image(self) -> bool:
        """Is p(x) = x?"""
        return self.scale == 1.0 and self.shift is None

    def of(self, x: Tensor) -> Tensor:
        """p(x) for images x (N,3,H,W)."""
        scaled = x if self.scale == 1.0 else self.scale * x
        return scaled if self.shift is None else scaled + self.shift


@runtime_checkable
class GradientMap(Interpreter, Protocol):
    """An interpreter that can be attacked with first-order passes, because its map is made of input gradients."""

    @property
    def classifier(self) -> nn.Module:
        """Pixels (N,3,H,W) in [0,1] to logits."""

    @property
    def score(self) -> Literal["loss", "logit"]:
        """What the gradients are of: the cross entropy of the class, or its logit."""

    def points(self, x: Tensor, *, searching: bool) -> tuple[Point, ...]:
        """Where gradients are taken for images of the shape and device of x; a search may do with fewer points."""

    def gradient_at(self, pixels: Tensor, classes: Tensor) -> Tensor:
        """Gradient (N,3,H,W) of the score at these pixels, detached; one forward, one backward pass."""

    def part(self, gradient: Tensor) -> Tensor:
        """What is averaged over the points, (N,3,H,W), differentiable in the gradient."""

    def unscaled(self, mean: Tensor, x: Tensor, /) -> Tensor:
        """The map (N,h,w) of that mean (N,3,H,W) before min-max, differentiable in it and in x."""


def mean_part(interpreter: GradientMap, x: Tensor, classes: Tensor, *, searching: bool) -> Tensor:
    """What ``unscaled`` makes a map of, (N,3,H,W), detached; memory does not grow with the number of points."""
    image = x.detach()
    points = interpreter.points(image, searching=searching)
    total = torch.zeros_like(image)
    for point in points:
        total += interpreter.part(interpreter.gradient_at(point.of(image), classes))
    return total / len(points)


@dataclass(frozen=True)
class SampledGradient(ABC):
    """A ``GradientMap`` of the class logit z_c at several points, visited one after another."""

    classifier: nn.Module
    pool: int = 4
    smoothing: Smoothing = Smoothing("exact")
    name: str = ""

    @property
    def score(self) -> Literal["loss", "logit"]:
        """The logit of the class."""
        return "logit"

    @abstractmethod
    def points(self, x: Tensor, *, searching: bool) -> tuple[Point, ...]:
        """Where gradients are taken."""

    @abstractmethod
    def part(self, gradient: Tensor) -> Tensor:
        """What is averaged over the points, (N,3,H,W)."""

    @abstractmethod
    def unscaled(self, mean: Tensor, x: Tensor) -> Tensor:
        """The map (N, H/pool, W/pool) of that mean before min-max."""

    def gradient_at(self, pixels: Tensor, classes: Tensor) -> Tensor:
        """∂z_c/∂x at these pixels, (N,3,H,W), detached."""
        with torch.enable_grad():
            leaf = pixels.detach().requires_grad_()
            chosen = self.classifier(leaf).gather(1, classes[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, leaf)
        return gradient

    def explain(self, x: Tensor, classes: Tensor) -> Tensor:
        """Maps (N, H/pool, W/pool) in [0,1]."""
        return min_max(self.unscaled(mean_part(self, x, classes, searching=False), x.detach()))

    def differentiable(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N,K) and maps with a graph to x; one pass for the logits, one for each point.

        Takes the memory of all points at once: an attack uses first-order passes instead (``GradientMap``).
        """
        points = self.points(x, searching=False)
        total = torch.zeros_like(x)
        # Fused attention has no second derivative.
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), SmoothedActivations(self.smoothing):
            logits: Tensor = self.classifier(x)
            for point in points:
                pixels = point.of(x)
                chosen = self.classifier(pixels).gather(1, classes[:, None]).sum()
                (gradient,) = torch.autograd.grad(chosen, pixels, create_graph=True)
                total = total + self.part(gradient)
            return logits, min_max(self.unscaled(total / len(points), x))

    def pooled(self, magnitude: Tensor) -> Tensor:
        """Average-pool (N,H,W) ``pool`` × ``pool``."""
        return functional.avg_pool2d(magnitude[:, None], self.pool)[:, 0]
