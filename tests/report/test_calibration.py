"""What the printed confidences are worth: the closed form of the binary case, and when nothing is said."""

from __future__ import annotations

import math

import numpy as np
import pytest

from skinaudit.audit.records import ImageRecord, Prediction
from skinaudit.metrics.success import expected_calibration_error
from skinaudit.report.findings.calibration import calibration
from tests.report.synthetic import CLASSES, header

MEL, NV = CLASSES.index("mel"), CLASSES.index("nv")


def image(number: int, label: str | None, confidence: float) -> ImageRecord:
    """An image called mel with that confidence; the rest goes to nv."""
    row = tuple({MEL: confidence, NV: 1 - confidence}.get(place, 0.0) for place in range(len(CLASSES)))
    prediction = Prediction(index=MEL, confidence=confidence, probabilities=row)
    return ImageRecord(image_id=f"i{number}", status="attacked", label=label, prediction=prediction)


def images(right: int, wrong: int, confidence: float = 0.99) -> list[ImageRecord]:
    labels = ["mel"] * right + ["nv"] * wrong
    return [image(number, label, confidence) for number, label in enumerate(labels)]


def test_temperature_and_error_of_a_network_that_is_always_as_sure_are_the_closed_forms() -> None:
    found = calibration(header(), images(15, 5))
    assert found is not None
    assert found.n == 20
    assert found.expected_error == pytest.approx(0.99 - 0.75)
    assert found.temperature == pytest.approx(math.log(0.99 / 0.01) / math.log(15 / 5), rel=1e-6)
    assert "by 24 points" in found.text.replace("\u00a0", " ")
    assert "a temperature of 4.18 would fit them best: the network is surer than it should be." in found.text


def test_a_network_that_is_less_sure_than_right_gets_a_temperature_below_one() -> None:
    found = calibration(header(), images(19, 1, confidence=0.6))
    assert found is not None
    assert found.temperature is not None
    assert found.temperature < 1
    assert "less sure than it could be" in found.text


def test_where_every_image_is_right_there_is_no_temperature_and_still_an_error() -> None:
    found = calibration(header(), images(12, 0))
    assert found is not None
    assert found.temperature is None
    assert found.expected_error == pytest.approx(0.01)
    assert "no temperature would fit" in found.text


def test_few_images_and_none_with_a_label_are_too_few_to_say() -> None:
    for rows in (images(9, 0), [image(0, None, 0.9)] * 20, []):
        found = calibration(header(), rows)
        assert found is not None
        assert (found.expected_error, found.temperature) == (None, None)
        assert "too few labelled images to say" in found.text


def test_without_labels_nothing_is_said() -> None:
    assert calibration(header(labels_given=False), images(15, 5)) is None


def test_probabilities_of_nought_count_as_the_smallest_that_a_network_gives() -> None:
    rows = [*images(14, 0, confidence=1.0), *images(0, 1, confidence=1.0)]
    found = calibration(header(), rows)
    assert found is not None
    assert found.temperature is not None
    assert math.isfinite(found.temperature)
    matrix = np.array([row.prediction.probabilities for row in rows if row.prediction])
    assert found.expected_error == pytest.approx(expected_calibration_error(matrix, np.array([MEL] * 14 + [NV])))
