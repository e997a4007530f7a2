"""GRAD: the magnitude of the input gradient (Simonyan et al. 2014; Zhang et al. 2020, back-propagation guided)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from skinaudit.interpreters.base import min_max
from skinaudit.interpreters.gradient_map import Point
from skinaudit.interpreters.smooth import SmoothedActivations, Smoothing


@dataclass(frozen=True)
class Grad:
    """Maximum over RGB of |∇_x CE(f(x), c)|, average-pooled ``pool`` × ``pool``, min-max per image.

    ``smoothing`` is used by ``differentiable`` alone: what a clinician sees always comes from the unchanged network.
    """

    classifier: nn.Module
    pool: int = 4
    smoothing: Smoothing = Smoothing()
    name: str = "grad"

    def explain(self, x: Tensor, classes: Tensor) -> Tensor:
        """Maps (N, H/pool, W/pool) in [0,1]."""
        _, _, gradient = self.input_gradient(x, classes)
        return min_max(self.unscaled(gradient))

    def differentiable(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N,K) and maps with a graph to x; activations have smooth derivatives meanwhile."""
        # Fused attention has no second derivative.
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), SmoothedActivations(self.smoothing):
            logits = self.classifier(x)
            loss = functional.cross_entropy(logits, classes, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        return logits, min_max(self.unscaled(gradient))

    def input_gradient(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (N,K), cross entropy (N,) and its gradient (N,3,H,W), all detached; one forward, one backward."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            logits = self.classifier(leaf)
            losses = functional.cross_entropy(logits, classes, reduction="none")
            (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        return logits.detach(), losses.detach(), gradient

    @property
    def score(self) -> Literal["loss", "logit"]:
        """The cross entropy of the class."""
        return "loss"

    def points(self, x: Tensor, *, searching: bool) -> tuple[Point, ...]:
        """The image alone."""
        return (Point(),)

    def gradient_at(self, pixels: Tensor, classes: Tensor) -> Tensor:
        """∇_x CE(f(x), c) at these pixels, detached."""
        return self.input_gradient(pixels, classes)[2]

    def part(self, gradient: Tensor) -> Tensor:
        """The gradient itself."""
        return gradient

    def unscaled(self, gradient: Tensor, x: Tensor | None = None) -> Tensor:
        """The map of an input gradient (N,3,H,W) before min-max; it depends on the image through that alone."""
        return functional.avg_pool2d(gradient.abs().amax(1, keepdim=True), self.pool)[:, 0]
