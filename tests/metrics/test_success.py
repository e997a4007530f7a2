"""Oracles: SciPy's softmax and Mann-Whitney test, counting pairs, hand numbers, scikit-learn where it is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import mannwhitneyu

from skinaudit.metrics.success import (
    balanced_accuracy,
    confidence,
    expected_calibration_error,
    macro_auc,
    per_class_recall,
)

quick = settings(deadline=None, max_examples=40, derandomize=True)

Sample = tuple[NDArray[np.float64], NDArray[np.int64]]


def sample(seed: int, images: int = 200, classes: int = 4, decimals: int = 8) -> Sample:
    """Probabilities that lean towards the label; few decimals make ties."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images)
    logits = generator.normal(size=(images, classes)) + 1.5 * np.eye(classes)[labels]
    return np.round(softmax(logits, axis=1), decimals), labels


# --- confidence -------------------------------------------------------------------------------------------------------


def test_confidence_equals_the_softmax_of_the_asked_class() -> None:
    logits = np.random.default_rng(0).normal(size=(6, 7)) * 5
    index = np.array([0, 6, 3, 3, 1, 2])
    found = confidence(torch.from_numpy(logits), torch.from_numpy(index))
    np.testing.assert_allclose(found.numpy(), softmax(logits, axis=1)[np.arange(6), index], rtol=1e-12)


def test_confidence_does_not_overflow_and_lifts_half_precision() -> None:
    found = confidence(torch.tensor([[1000.0, 0.0], [0.0, 1000.0]]).half(), torch.tensor([0, 0]))
    assert found.tolist() == [1.0, 0.0]
    assert found.dtype == torch.float32


def test_confidence_has_the_right_gradient() -> None:
    logits = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: confidence(z, torch.tensor([0, 3, 1])), (logits,))


@pytest.mark.parametrize(("logits", "index"), [((3,), (3,)), ((3, 4), (2,)), ((3, 4), (3, 1))])
def test_confidence_refuses_shapes_that_do_not_fit(logits: tuple[int, ...], index: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"logits \(N, K\) and indices \(N,\)"):
        confidence(torch.zeros(logits), torch.zeros(index, dtype=torch.int64))


# --- calibration ------------------------------------------------------------------------------------------------------


def brute_force_calibration_error(probabilities: NDArray[np.float64], labels: NDArray[np.int64], bins: int) -> float:
    total = 0.0
    for number in range(bins):
        rows = [row for row in range(len(labels)) if number / bins < probabilities[row].max() <= (number + 1) / bins]
        if rows:
            accuracy = sum(int(probabilities[row].argmax() == labels[row]) for row in rows) / len(rows)
            mean_confidence = sum(float(probabilities[row].max()) for row in rows) / len(rows)
            total += len(rows) / len(labels) * abs(accuracy - mean_confidence)
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_error_equals_a_loop_over_bins(bins: int) -> None:
    probabilities, labels = sample(1)
    expected = brute_force_calibration_error(probabilities, labels, bins)
    assert expected_calibration_error(probabilities, labels, bins) == pytest.approx(expected, rel=1e-9)
    assert expected > 0.005


def test_calibration_error_of_a_calibrated_model_is_zero() -> None:
    probabilities = np.array([[0.75, 0.25]] * 4 + [[0.0, 1.0]] * 2)
    labels = np.array([0, 0, 0, 1, 1, 1])
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.0, abs=1e-12)


def test_calibration_error_of_a_sure_and_wrong_model_is_one() -> None:
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([1])) == 1.0


def test_calibration_error_puts_a_confidence_on_an_edge_into_the_lower_bin() -> None:
    # With two bins 0.5 belongs to (0, 0.5]: gap 0.5 on one half, 0.1 on the other; in one bin they would cancel.
    probabilities, labels = np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([1, 0])
    assert expected_calibration_error(probabilities, labels, bins=2) == pytest.approx((0.5 + 0.1) / 2)
    assert expected_calibration_error(probabilities, labels, bins=1) == pytest.approx((0.5 - 0.1) / 2)


# --- recall -----------------------------------------------------------------------------------------------------------


def test_recall_and_balanced_accuracy_equal_hand_numbers() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    predictions = np.array([0, 0, 0, 1, 1, 0, 0])
    assert per_class_recall(predictions, labels, 3).tolist() == [0.75, 0.5, 0.0]
    assert balanced_accuracy(predictions, labels) == pytest.approx((0.75 + 0.5 + 0.0) / 3)


def test_class_without_images_has_no_recall_and_does_not_count() -> None:
    labels, predictions = np.array([0, 0, 2]), np.array([0, 1, 2])
    recall = per_class_recall(predictions, labels, 4)
    assert recall[[0, 2]].tolist() == [0.5, 1.0]
    assert np.isnan(recall[[1, 3]]).all()
    assert balanced_accuracy(predictions, labels) == 0.75


def test_recall_of_no_image_is_not_a_number() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert np.isnan(per_class_recall(nothing, nothing, 3)).all()
    with pytest.raises(ValueError, match="no images"):
        balanced_accuracy(nothing, nothing)


# --- area under the curve ---------------------------------------------------------------------------------------------


def test_macro_auc_of_perfect_useless_and_reversed_scores() -> None:
    labels = np.array([0, 0, 1, 1])
    perfect = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]])
    assert macro_auc(perfect, labels) == 1.0
    assert macro_auc(np.full((4, 2), 0.5), labels) == 0.5
    assert macro_auc(1 - perfect, labels) == 0.0


@quick
@given(seed=st.integers(0, 10_000), decimals=st.sampled_from([1, 8]))
def test_macro_auc_counts_the_pairs_in_the_right_order(seed: int, decimals: int) -> None:
    probabilities, labels = sample(seed, images=25, classes=3, decimals=decimals)
    areas = []
    for index in range(3):
        inside, outside = probabilities[labels == index, index], probabilities[labels != index, index]
        if len(inside) and len(outside):
            wins = sum((x > y) + 0.5 * (x == y) for x in inside for y in outside)
            areas.append(wins / (len(inside) * len(outside)))
    assert macro_auc(probabilities, labels) == pytest.approx(np.mean(areas), rel=1e-12)


def test_macro_auc_equals_the_mann_whitney_statistic() -> None:
    probabilities, labels = sample(2, decimals=2)
    areas = []
    for index in range(4):
        inside, outside = probabilities[labels == index, index], probabilities[labels != index, index]
        areas.append(mannwhitneyu(inside, outside).statistic / (len(inside) * len(outside)))
    assert macro_auc(probabilities, labels) == pytest.approx(np.mean(areas), rel=1e-12)


def test_macro_auc_leaves_out_a_class_without_images() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    # Class 0: both pairs won; class 1: both pairs won; class 2 has no image and no curve.
    assert macro_auc(probabilities, np.array([0, 1, 0])) == 1.0


def test_macro_auc_refuses_images_of_one_class() -> None:
    with pytest.raises(ValueError, match="all images belong to one class"):
        macro_auc(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 0]))


# --- agreement with scikit-learn --------------------------------------------------------------------------------------


@pytest.mark.parametrize("decimals", [1, 2, 8])
def test_recall_and_auc_equal_scikit_learn(decimals: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn comes with grad-cam")
    probabilities, labels = sample(3, decimals=decimals)
    predictions = probabilities.argmax(axis=1)
    assert balanced_accuracy(predictions, labels) == pytest.approx(metrics.balanced_accuracy_score(labels, predictions))
    np.testing.assert_allclose(
        per_class_recall(predictions, labels, 4), metrics.recall_score(labels, predictions, average=None)
    )
    one_by_one = [metrics.roc_auc_score(labels == index, probabilities[:, index]) for index in range(4)]
    assert macro_auc(probabilities, labels) == pytest.approx(np.mean(one_by_one), rel=1e-12)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, np.int64), "at least one image"),
        (np.full((2, 2), 0.5), np.array([0]), r"got \(2, 2\) and \(1,\)"),
        (np.array([0.5, 0.5]), np.array([0, 1]), r"\(N, K\)"),
        (np.array([[math.nan, 0.5]]), np.array([0]), "NaN or infinite"),
        (np.full((2, 2), 0.5), np.array([0, 2]), r"0 \.\. 1, got 0 \.\. 2"),
        (np.full((2, 2), 0.5), np.array([-1, 0]), r"0 \.\. 1, got -1 \.\. 0"),
    ],
)
def test_probabilities_that_do_not_fit_are_refused(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], message: str
) -> None:
    for measure in (expected_calibration_error, macro_auc):
        with pytest.raises(ValueError, match=message):
            measure(probabilities, labels)


def test_indices_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape \(N,\)"):
        per_class_recall(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(ValueError, match=r"0 \.\. 1, got 0 \.\. 2"):
        per_class_recall(np.array([0, 2]), np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="got -1"):
        balanced_accuracy(np.array([-1, 0]), np.array([0, 1]))


def test_calibration_error_refuses_no_bins() -> None:
    with pytest.raises(ValueError, match="bins must be at least 1"):
        expected_calibration_error(np.array([[1.0, 0.0]]), np.array([0]), bins=0)
