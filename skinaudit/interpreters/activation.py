"""What Grad-CAM and its relatives share: the last features, their gradient, one forward pass for logits and map."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from skinaudit.classifier.features import FeaturesUnavailable
from skinaudit.classifier.tokens import LastSpatialFeatures
from skinaudit.interpreters.base import InterpreterUnavailable, min_max
from skinaudit.interpreters.smooth import SmoothedActivations, Smoothing

#: Slope of the ReLU at the end of a map below zero while an attack differentiates it. No value of the map changes.
_LEAK = 0.1


@dataclass(frozen=True)
class ClassGradient:
    """Logits (N,K), the last features (N,C,h,w), the gradient of the class logit with respect to them, alike."""

    logits: Tensor
    features: Tensor
    gradient: Tensor
    head_is_affine: bool


def class_gradient(
    classifier: nn.Module, x: Tensor, classes: Tensor, *, create_graph: bool, smoothing: Smoothing | None = None
) -> ClassGradient:
    """One forward pass, and one backward pass through the head.

    Args:
        classifier: pixels to logits.
        x: images (N,3,H,W) in [0,1] with a graph.
        classes: indices (N,).
        create_graph: the gradient gets a graph too.
        smoothing: how activations with kinks are differentiated; None: as they are.

    Raises:
        FeaturesUnavailable: nothing spatial was seen, or the logits do not depend on it.
    """
    smoothed = nullcontext() if smoothing is None else SmoothedActivations(smoothing)
    # Fused attention has no second derivative.
    attention = sdpa_kernel(SDPBackend.MATH) if create_graph else nullcontext()
    with torch.enable_grad():
        with attention, smoothed, LastSpatialFeatures() as capture:
            logits: Tensor = classifier(x)
        chosen = logits.gather(1, classes[:, None]).sum()
    found = capture.located(x)
    (gradient,) = torch.autograd.grad(
        chosen, found.values, create_graph=create_graph, retain_graph=True, allow_unused=True
    )
    if gradient is None:
        raise FeaturesUnavailable(
            "the logits do not depend on this network's last spatial features, so there is no map to weigh; audit it "
            "with --interpreters grad"
        )
    affine = found.layout == "channels first" and capture.head_is_affine
    return ClassGradient(logits, found.on_grid(found.values), found.on_grid(gradient), affine)


@dataclass(frozen=True)
class ActivationMap(ABC):
    """m = ReLU(``weighed``(a, ∂z_c/∂a)) over the last features a, min-max per image; z_c is the logit of the class.

    Features are those of the last convolution, or the patch tokens that the last attention of a transformer reads.
    Where only pooling and linear layers follow, the gradient is the same for every image and needs no graph.
    ``smoothing`` is used by ``differentiable`` alone, and only for other heads.
    """

    classifier: nn.Module
    head_is_affine: bool = False
    smoothing: Smoothing = Smoothing("exact")

    @abstractmethod
    def weighed(self, features: Tensor, gradient: Tensor) -> Tensor:
        """The map (N,h,w) before ReLU, of features and gradient (N,C,h,w), differentiable in both."""

    @classmethod
    def for_network(cls, classifier: nn.Module, probe: Tensor) -> Self:
        """Look at the network with one image (1,3,H,W).

        Raises:
            InterpreterUnavailable: it has no features that say where in the image they are.
        """
        first = torch.zeros(len(probe), dtype=torch.int64, device=probe.device)
        try:
            seen = class_gradient(classifier, probe.detach().requires_grad_(), first, create_graph=False)
        except FeaturesUnavailable as error:
            raise InterpreterUnavailable(str(error)) from error
        return cls(classifier, seen.head_is_affine)

    def explain(self, x: Tensor, classes: Tensor) -> Tensor:
        """Maps (N,h,w) in [0,1] at the resolution of the last features."""
        found = class_gradient(self.classifier, x.detach().requires_grad_(), classes, create_graph=False)
        return min_max(self.weighed(found.features.detach(), found.gradient).relu())

    def differentiable(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N,K) and maps (N,h,w) with a graph to x, from one forward pass."""
        smoothing = None if self.head_is_affine else self.smoothing
        found = class_gradient(self.classifier, x, classes, create_graph=not self.head_is_affine, smoothing=smoothing)
        return found.logits, _with_a_way_up(self.weighed(found.features, found.gradient))


def _with_a_way_up(raw: Tensor) -> Tensor:
    """min_max(ReLU(``raw``)), and below zero a derivative too: the wanted map may be bright where this one is dark."""
    scale = raw.detach().abs().amax((1, 2), keepdim=True).clamp_min(torch.finfo(raw.dtype).tiny)
    below = raw.clamp(max=0) / scale
    slope = torch.where(raw.amax((1, 2), keepdim=True) > 0, _LEAK, 1.0)  # dark everywhere: this is all there is
    return min_max(raw.relu()) + slope * (below - below.detach())
