"""How good a classifier is: confidence of a prediction, calibration, recall, area under the curve."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor


def confidence(logits: Tensor, index: Tensor) -> Tensor:
    """Softmax probability of one class per image: logits (N, K), class indices (N,) int64 -> (N,) in [0, 1].

    No temperature: it is the softmax of the network's own logits. Differentiable.

    Raises:
        ValueError: the shapes do not fit.

    >>> confidence(torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([1, 0]))
    tensor([0.5000, 0.8808])
    """
    if logits.ndim != 2 or index.shape != logits.shape[:1]:
        raise ValueError(f"expected logits (N, K) and indices (N,), got {tuple(logits.shape)} and {tuple(index.shape)}")
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return torch.softmax(logits, dim=1, dtype=dtype).gather(1, index.unsqueeze(1)).squeeze(1)


def expected_calibration_error(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy of the predicted class, weighted by bin, in [0, 1].

    Bins are ``bins`` equal intervals (low, high] of the highest probability; the first class that has it is predicted.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.

    Args:
        probabilities: (N, K) in [0, 1].
        labels: (N,) class indices.
        bins: number of bins, at least 1.

    Raises:
        ValueError: shapes, labels or probabilities do not fit, there is no image, or ``bins`` < 1.

    >>> expected_calibration_error(np.array([[0.75, 0.25], [0.75, 0.25]]), np.array([0, 1]))
    0.25
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    _check_probabilities(probabilities, labels)
    highest = probabilities.max(axis=1).astype(np.float64)
    correct = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    # The inner edges alone: a confidence of 0 or a rounding above 1 falls into the first or last bin.
    place = np.digitize(highest, np.linspace(0.0, 1.0, bins + 1)[1:-1], right=True)
    # |accuracy - confidence| * count / N is |sum of differences| / N.
    gaps = np.bincount(place, weights=correct - highest, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def per_class_recall(
    predictions: NDArray[np.integer], labels: NDArray[np.integer], classes: int
) -> NDArray[np.float64]:
    """Share of each class's images that were predicted as that class: indices (N,) twice -> (classes,) in [0, 1].

    A class without an image has no recall: NaN.

    Raises:
        ValueError: the shapes differ or an index is outside 0 .. classes - 1.

    >>> per_class_recall(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]), classes=3)
    array([0.5, 1. , nan])
    """
    _check_indices(predictions, labels, classes)
    support = np.bincount(labels, minlength=classes).astype(np.float64)
    hits = np.bincount(labels[predictions == labels], minlength=classes).astype(np.float64)
    recall: NDArray[np.float64] = np.divide(hits, support, out=np.full(classes, np.nan), where=support > 0)
    return recall


def balanced_accuracy(predictions: NDArray[np.integer], labels: NDArray[np.integer]) -> float:
    """Mean recall over the classes that occur among the labels: indices (N,) twice -> [0, 1].

    Raises:
        ValueError: the shapes differ, an index is negative, or there is no image.

    >>> balanced_accuracy(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]))
    0.75
    """
    if labels.size == 0:
        raise ValueError("no images: balanced accuracy of nothing is not defined")
    classes = int(max(labels.max(), predictions.max(initial=0))) + 1
    return float(np.nanmean(per_class_recall(predictions, labels, classes)))


def macro_auc(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Area under the ROC curve, each class against the rest, averaged with equal weight, in [0, 1].

    The area is the Mann-Whitney statistic over its maximum, ties counted half. A class without an image, or with all of
    them, has no curve and is left out of the mean.

    Source: Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 143, 1982.

    Args:
        probabilities: (N, K) scores; only their order within a class counts.
        labels: (N,) class indices.

    Raises:
        ValueError: shapes, labels or scores do not fit, there is no image, or no class has images on both sides.

    >>> scores = np.array([[0.8, 0.2], [0.4, 0.6], [0.6, 0.4], [0.1, 0.9]])
    >>> macro_auc(scores, np.array([0, 0, 1, 1]))
    0.75
    """
    _check_probabilities(probabilities, labels)
    areas = []
    for index in range(probabilities.shape[1]):
        positive = labels == index
        count = int(positive.sum())
        if 0 < count < len(labels):
            wins = rankdata(probabilities[:, index])[positive].sum() - count * (count + 1) / 2
            areas.append(wins / (count * (len(labels) - count)))
    if not areas:
        raise ValueError("all images belong to one class, so no class can be told from the rest; add others")
    return float(np.mean(areas))


def _check_probabilities(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or labels.size == 0:
        raise ValueError(
            f"expected probabilities (N, K) and labels (N,) of at least one image, "
            f"got {probabilities.shape} and {labels.shape}"
        )
    if not np.isfinite(probabilities).all():
        raise ValueError("a probability is NaN or infinite; check the model's logits")
    _check_range(labels, probabilities.shape[1])


def _check_indices(predictions: NDArray[np.integer], labels: NDArray[np.integer], classes: int) -> None:
    if labels.ndim != 1 or predictions.shape != labels.shape:
        raise ValueError(
            f"expected predictions and labels of one shape (N,), got {predictions.shape} and {labels.shape}"
        )
    _check_range(labels, classes)
    _check_range(predictions, classes)


def _check_range(indices: NDArray[np.integer], classes: int) -> None:
    if indices.size and (indices.min() < 0 or indices.max() >= classes):
        raise ValueError(
            f"class indices must lie in 0 .. {classes - 1}, got {int(indices.min())} .. {int(indices.max())}"
        )
