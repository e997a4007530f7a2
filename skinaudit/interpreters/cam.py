"""CAM: the last feature maps weighed by the class (Zhou et al., CVPR 2016; Grad-CAM weights for other heads)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skinaudit.classifier.features import FeaturesUnavailable, LastFeatureMap
from skinaudit.interpreters.activation import class_gradient
from skinaudit.interpreters.base import InterpreterUnavailable, min_max


@dataclass(frozen=True)
class Cam:
    """m = Σ_k w_{k,c}·a_k over the last feature maps a, no ReLU, min-max per image.

    ``weights`` (K,C) when the head is global average pooling and one linear layer: the map is then a fixed linear
    function of the features. None for any other head: Grad-CAM weights w_{k,c} = Σ_ij ∂logit_c/∂a_kij are taken per
    image (Selvaraju et al., ICCV 2017); on the former heads both are equal up to scale.
    """

    classifier: nn.Module
    weights: Tensor | None
    name: str = "cam"

    @classmethod
    def for_network(cls, classifier: nn.Module, probe: Tensor) -> Cam:
        """Look at the head with two images: is ∂logits/∂features the same everywhere, whatever the image?

        Two images alone may lie on one linear piece of a head with activations, so those never count as linear.

        Raises:
            InterpreterUnavailable: the network has no last convolutional feature map.
        """
        generator = torch.Generator().manual_seed(0)
        noise = torch.rand(probe.shape, generator=generator).to(probe)
        try:
            (first, affine), (second, _) = _head_jacobian(classifier, probe), _head_jacobian(classifier, noise)
        except FeaturesUnavailable as error:
            raise InterpreterUnavailable(str(error)) from error
        constant = first.mean((2, 3), keepdim=True)
        close = 1e-4 * constant.abs().amax()
        linear = affine and all(bool(((one - constant).abs() <= close).all()) for one in (first, second))
        return cls(classifier, constant[:, :, 0, 0] * first.shape[2] * first.shape[3] if linear else None)

    def explain(self, x: Tensor, classes: Tensor) -> Tensor:
        """Maps (N,h,w) in [0,1] at the resolution of the last features."""
        if self.weights is not None:
            with torch.no_grad(), LastFeatureMap() as capture:
                self.classifier(x)
            return min_max(self._weigh(capture.features, self.weights[classes]))
        seen = class_gradient(self.classifier, x.detach().requires_grad_(), classes, create_graph=False)
        return min_max(self._weigh(seen.features, seen.gradient.sum((2, 3)))).detach()

    def differentiable(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N,K) and maps (N,h,w) with a graph to x, from one forward pass."""
        if self.weights is None:
            seen = class_gradient(self.classifier, x, classes, create_graph=True)
            return seen.logits, min_max(self._weigh(seen.features, seen.gradient.sum((2, 3))))
        with LastFeatureMap() as capture:
            logits = self.classifier(x)
        return logits, min_max(self._weigh(capture.features, self.weights[classes]))

    @staticmethod
    def _weigh(features: Tensor, weights: Tensor) -> Tensor:
        return torch.einsum("nchw,nc->nhw", features, weights)


def _head_jacobian(classifier: nn.Module, x: Tensor) -> tuple[Tensor, bool]:
    """∂logits/∂features of one image, (K,C,h,w), and whether the head consists of affine steps alone."""
    with torch.enable_grad(), LastFeatureMap() as capture:
        logits = classifier(x.detach().requires_grad_())
    rows = []
    for k in range(logits.shape[1]):
        (row,) = torch.autograd.grad(logits[0, k], capture.features, retain_graph=True, allow_unused=True)
        if row is None:
            raise FeaturesUnavailable(
                "the logits do not depend on this network's last spatial features, so CAM has no map to weigh; "
                "audit it with --interpreters grad"
            )
        rows.append(row[0])
    return torch.stack(rows), capture.head_is_affine
