"""RTS: a fitted generator draws the map from the classifier's own features (Dabkowski and Gal, NeurIPS 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skinaudit.classifier.classifier import Classifier
from skinaudit.classifier.features import FeaturesUnavailable
from skinaudit.classifier.scales import FeatureScales
from skinaudit.interpreters.base import InterpreterUnavailable
from skinaudit.interpreters.rts_file import RtsFileRefused, read_generator
from skinaudit.interpreters.rts_network import MaskGenerator, Scale, grid_of

NAME = "rts"
MISSING = "this model carries no fitted RTS; run `skinaudit fit-rts MODEL IMAGES`"


@dataclass(frozen=True)
class Rts:
    """m = |a| / (|a| + |b|) at a quarter of the resolution, as the generator gives it: no min-max.

    ``generator`` is frozen and in evaluation mode. High values mark what matters.
    """

    classifier: nn.Module
    generator: MaskGenerator
    name: str = NAME

    @classmethod
    def for_classifier(cls, classifier: nn.Module, probe: Tensor) -> Rts:
        """The generator that was fitted for this classifier and lies beside its weights.

        Args:
            classifier: as ``load_classifier`` gives it: it knows where it came from.
            probe: one image (1,3,H,W) of the size that the classifier gets.

        Raises:
            InterpreterUnavailable: none was fitted, the file cannot be used, or the network has no features to use.
        """
        if not isinstance(classifier, Classifier):
            raise InterpreterUnavailable(MISSING)
        generator = blank_generator(classifier, probe)
        file = classifier.description.fitted_file(NAME)
        if not file.is_file():
            raise InterpreterUnavailable(MISSING)
        stated = classifier.description.fitted
        try:
            read_generator(file, generator, classifier.digest, None if stated is None else stated.get(NAME, "none"))
        except (RtsFileRefused, OSError) as error:
            raise InterpreterUnavailable(str(error)) from error
        return cls(classifier, generator.to(probe.device).eval().requires_grad_(requires_grad=False))

    def explain(self, x: Tensor, classes: Tensor) -> Tensor:
        """Maps (N, ⌈H/4⌉, ⌈W/4⌉) in [0,1]."""
        with torch.no_grad():
            _, maps, _ = self.with_evidence(x, classes)
        return maps

    def differentiable(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N,K) and maps (N,h,w) with a graph to x, from one forward pass."""
        logits, maps, _ = self.with_evidence(x, classes)
        return logits, maps

    def with_evidence(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As ``differentiable``, and what the selector sees of each class: <pooled deep feature, embedding>, (N,K)."""
        logits, scales = features_of(self.classifier, x)
        maps, evidence = self.generator(scales, classes)
        return logits, maps, evidence


def features_of(classifier: nn.Module, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Logits (N,K) and the features of every scale, the deepest first, from one forward pass of images (N,3,H,W).

    Raises:
        FeaturesUnavailable: the network has no convolutional features.
    """
    with FeatureScales(grid_of((x.shape[2], x.shape[3]))) as capture:
        logits: Tensor = classifier(x)
    return logits, capture.scales


def blank_generator(classifier: nn.Module, probe: Tensor) -> MaskGenerator:
    """A generator of the shapes that a classifier asks for, on the CPU, with weights as they are drawn.

    Raises:
        InterpreterUnavailable: the network has no convolutional features.
    """
    try:
        with torch.no_grad():
            logits, scales = features_of(classifier, probe)
    except FeaturesUnavailable as error:
        raise InterpreterUnavailable(str(error)) from error
    shapes = [Scale.of(one) for one in scales]
    return MaskGenerator(shapes, logits.shape[1], grid_of((probe.shape[2], probe.shape[3])))
