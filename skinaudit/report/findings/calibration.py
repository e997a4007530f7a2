"""Words for what the printed confidences are worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skinaudit.audit.records import ImageRecord, RunHeader
from skinaudit.metrics.intervals import TOO_FEW
from skinaudit.metrics.success import expected_calibration_error
from skinaudit.metrics.temperature import fit_temperature
from skinaudit.report.document import Calibration
from skinaudit.report.wording import images as counted_images

#: Smallest normal float32: a probability of 0 has no logarithm.
_SMALLEST = float(np.finfo(np.float32).tiny)


def calibration(header: RunHeader, images: Sequence[ImageRecord]) -> Calibration | None:
    """Calibration error and temperature on the clean labelled images, right or wrong; None without labels."""
    if not header.labels_given:
        return None
    classes = header.model.classes
    both = [
        (image.prediction.probabilities, classes.index(image.label))
        for image in images
        if image.prediction is not None and image.label in classes
    ]
    if len(both) < TOO_FEW:
        text = f"Whether the confidences printed are too high: too few labelled images to say ({len(both)})."
        return Calibration(n=len(both), expected_error=None, temperature=None, text=text)
    probabilities = np.array([row for row, _ in both], dtype=np.float64)
    labels = np.array([label for _, label in both])
    error = expected_calibration_error(probabilities, labels)
    # A softmax forgets a constant added to all logits, and so does a temperature: logarithms serve as logits.
    found = fit_temperature(np.log(np.maximum(probabilities, _SMALLEST)), labels)
    return Calibration(n=len(both), expected_error=error, temperature=found, text=_text(len(both), error, found))


def _text(n: int, error: float, temperature: float | None) -> str:
    measured = (
        f"Confidences are those of the network itself. On {counted_images(n)} with labels, unchanged, they differ from "
        f"how often it is right by {error * 100:.0f} points on average (expected calibration error)"
    )
    if temperature is None:
        return f"{measured}; no temperature would fit them to these labels."
    surer = "surer than it should be" if temperature > 1 else "less sure than it could be"
    return f"{measured}; a temperature of {temperature:.2f} would fit them best: the network is {surer}."
