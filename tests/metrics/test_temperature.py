"""Oracles: the closed form of the binary case, a grid of temperatures, torch's cross entropy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from torch.nn.functional import cross_entropy

from skinaudit.metrics.success import expected_calibration_error
from skinaudit.metrics.temperature import fit_temperature, negative_log_likelihood

quick = settings(deadline=None, max_examples=40, derandomize=True)


def drawn(seed: int, temperature: float, images: int = 4000) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits whose labels are drawn from softmax(logits / temperature)."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(images, 5)) * 3
    chances = softmax(logits / temperature, axis=1).cumsum(axis=1)
    return logits, (generator.random((images, 1)) > chances).sum(axis=1).clip(max=4)


@quick
@given(right=st.integers(11, 19), logit=st.floats(0.5, 20.0))
def test_one_binary_logit_gets_the_temperature_that_makes_it_the_log_odds(right: int, logit: float) -> None:
    labels = np.array([0] * right + [1] * (20 - right))
    found = fit_temperature(np.array([[logit, 0.0]] * 20), labels)
    assert found == pytest.approx(logit / math.log(right / (20 - right)), rel=1e-9)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_behind_drawn_labels_is_found_again(temperature: float) -> None:
    assert fit_temperature(*drawn(1, temperature)) == pytest.approx(temperature, rel=0.06)


def test_no_other_temperature_of_a_grid_is_likelier() -> None:
    logits, labels = drawn(2, 1.7, images=60)
    found = fit_temperature(logits, labels)
    assert found is not None
    best = negative_log_likelihood(logits, labels, found)
    grid = np.geomspace(0.05, 50, 2001)
    losses = [negative_log_likelihood(logits, labels, float(one)) for one in grid]
    assert best <= min(losses) + 1e-12
    assert grid[int(np.argmin(losses))] == pytest.approx(found, rel=0.01)


def test_the_fitted_temperature_lessens_the_calibration_error_of_an_overconfident_network() -> None:
    logits, labels = drawn(3, 3.0)
    found = fit_temperature(logits, labels)
    assert found is not None
    before = expected_calibration_error(softmax(logits, axis=1), labels)
    assert expected_calibration_error(softmax(logits / found, axis=1), labels) < 0.25 * before


def test_logarithms_of_probabilities_serve_as_logits() -> None:
    logits, labels = drawn(4, 2.0, images=200)
    assert fit_temperature(log_softmax(logits, axis=1), labels) == pytest.approx(
        fit_temperature(logits, labels), rel=1e-9
    )


def test_where_every_image_is_right_or_the_logits_speak_against_the_labels_there_is_none() -> None:
    logits = np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    assert fit_temperature(logits, np.array([0, 1, 0])) is None
    assert fit_temperature(logits, np.array([1, 0, 1])) is None
    assert fit_temperature(np.zeros((4, 3)), np.array([0, 1, 2, 0])) is None


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_likelihood_equals_the_cross_entropy_of_torch(temperature: float) -> None:
    logits, labels = drawn(5, 1.0, images=50)
    expected = cross_entropy(torch.from_numpy(logits / temperature), torch.from_numpy(labels)).item()
    assert negative_log_likelihood(logits, labels, temperature) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, np.int64), "at least one image"),
        (np.zeros((2, 2)), np.array([0]), r"got \(2, 2\) and \(1,\)"),
        (np.zeros(2), np.array([0, 1]), r"\(N, K\)"),
        (np.array([[-math.inf, 0.0]]), np.array([0]), "clip probabilities of 0"),
        (np.zeros((2, 2)), np.array([0, 2]), r"0 \.\. 1, got 0 \.\. 2"),
        (np.zeros((2, 2)), np.array([-1, 0]), r"0 \.\. 1, got -1 \.\. 0"),
    ],
)
def test_logits_that_do_not_fit_are_refused(
    logits: NDArray[np.float64], labels: NDArray[np.int64], message: str
) -> None:
    for measure in (fit_temperature, negative_log_likelihood):
        with pytest.raises(ValueError, match=message):
            measure(logits, labels)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_a_temperature_is_a_positive_number(temperature: float) -> None:
    with pytest.raises(ValueError, match="positive number"):
        negative_log_likelihood(np.zeros((1, 2)), np.array([0]), temperature)
