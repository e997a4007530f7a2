"""Is this model auditable at all? Every check on one classifier and a few images, and nothing left changed."""

from __future__ import annotations

import torch
from torch import Tensor

from skinaudit.classifier.check_batch import batch_finding, observe, repeat_finding, training_finding
from skinaudit.classifier.check_inputs import normalisation_finding, orientation_finding
from skinaudit.classifier.check_outputs import (
    accuracy_finding,
    classes_finding,
    declared_accuracy,
    expected_accuracy,
    gradients_finding,
    outputs_finding,
)
from skinaudit.classifier.classifier import Classifier
from skinaudit.classifier.finding import TITLES, Finding, Level, one_at_a_time
from skinaudit.classifier.probe import AT_ONCE, logits_of, unchanged

__all__ = [
    "TITLES", "Finding", "Level", "accuracy_finding", "check_model", "declared_accuracy",
    "expected_accuracy", "in_order", "one_at_a_time",
]  # fmt: skip

#: Images whose gradients are looked at.
MOST_GRADIENTS = 16


def check_model(
    classifier: Classifier, images: Tensor, labels: Tensor | None = None, at_once: int = AT_ONCE
) -> tuple[Finding, ...]:
    """Look for what would make the figures of an audit mislead; all checks but that of the accuracy.

    With 16 images this costs at most about 40 passes of at most 8 images. Weights, buffers, modes and random states are
    afterwards what they were.

    Args:
        classifier: the model.
        images: (N,3,h,w) in [0,1] in model orientation, N >= 1, on any device.
        labels: (N) indices of the right classes, -1 where unknown; None: none is known.
        at_once: images of one pass, at most.

    Returns:
        One finding for each check, in the order of ``TITLES``.

    Raises:
        ValueError: no images, another shape, or labels of another length.
        torch.OutOfMemoryError: the device does not hold so many images at once.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ValueError(f"images: expected (N,3,h,w) with N >= 1, got {tuple(images.shape)}")
    known = torch.full((len(images),), -1) if labels is None else labels.cpu()
    if len(known) != len(images):
        raise ValueError(f"labels: expected {len(images)}, one for each image, got {len(known)}")
    device = next(classifier.buffers(), next(classifier.parameters(), images)).device
    shown = images.to(device)
    with unchanged(classifier):
        seen = observe(classifier, shown, at_once)
    company = batch_finding(seen)
    at_once = 1 if one_at_a_time((company,)) else at_once
    with unchanged(classifier):
        outputs = logits_of(classifier, shown, at_once)
        few = slice(0, MOST_GRADIENTS)
        return (
            company,
            repeat_finding(seen),
            training_finding(seen),
            outputs_finding(classifier, shown, outputs),
            gradients_finding(classifier, shown[few], outputs[few], at_once),
            classes_finding(classifier.classes, outputs),
            orientation_finding(classifier, shown, outputs, known, at_once),
            normalisation_finding(classifier, shown, outputs, known, at_once),
        )


def in_order(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The same findings in the order of ``TITLES``."""
    return tuple(sorted(findings, key=lambda one: list(TITLES).index(one.check)))
