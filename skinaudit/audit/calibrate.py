"""From a folder of clean images to the drift thresholds of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from skinaudit.attacks.judge import Judge
from skinaudit.audit.session import interpreters_for
from skinaudit.audit.survey import Specimen, derive, read_again, survey
from skinaudit.calibration.drift import CalibrationError, CalibrationImage, measure_drift
from skinaudit.calibration.thresholds import DriftThreshold, ThresholdsError, read_thresholds, write_thresholds
from skinaudit.classifier.classifier import Classifier
from skinaudit.images.decoder import Decoder
from skinaudit.images.refusal import ImageRefused


@dataclass(frozen=True)
class CalibrationRequest:
    """Clean images, label by file stem (empty: the prediction counts as right), what to measure, and how."""

    images: Path
    labels: Mapping[str, str]
    interpreters: tuple[str, ...]
    batch_size: int
    seed: int
    key: bytes


def calibrate(
    classifier: Classifier,
    request: CalibrationRequest,
    device: torch.device,
    decoder: Decoder,
    *,
    surveyed: Callable[[int, int], None] = lambda _done, _total: None,
    measured: Callable[[int, int], None] = lambda _done, _total: None,
    left_out: Callable[[str], None] = lambda _reason: None,
) -> list[DriftThreshold]:
    """Measure how far the maps of a folder's images drift under harmless changes. Stores nothing.

    Args:
        classifier: the model.
        request: images and settings.
        device: where the classifier is.
        decoder: reads the files.
        surveyed: told how many of how many files were read.
        measured: told how many of how many images were measured.
        left_out: told why an image that could be read at first is not measured.

    Raises:
        FolderError, CalibrationError, InterpreterUnavailable: each with one line for the user.
    """
    interpreters = interpreters_for(classifier, request.interpreters, device)
    judge = Judge(classifier, interpreters, request.batch_size, device)
    specimens = survey(request.images, request.labels, request.key, request.seed, decoder, surveyed)
    usable = _usable(specimens, labels_given=bool(request.labels))
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        measured(done, len(usable))

    return measure_drift(
        judge,
        classifier.preprocess,
        request.interpreters,
        _images(classifier, usable, decoder, request.seed, left_out),
        classifier.digest,
        batch=request.batch_size,
        advance=advance,
    )


def store(classifier: Classifier, thresholds: Sequence[DriftThreshold]) -> Path:
    """Write thresholds into the model's bundle, beside those of other interpreters on the same weights.

    Returns:
        The file.

    Raises:
        OSError: it cannot be written.
    """
    file = classifier.description.calibration
    try:
        kept = read_thresholds(file, classifier.digest)
    except ThresholdsError:
        kept = {}  # measured on other weights, or damaged: that is why one calibrates again
    merged = kept | {threshold.interpreter: threshold for threshold in thresholds}
    write_thresholds(file, [merged[name] for name in sorted(merged)])
    return file


def _usable(specimens: Sequence[Specimen], *, labels_given: bool) -> list[Specimen]:
    usable = [one for one in specimens if one.status == "readable" and (one.label or not labels_given)]
    if not usable:
        what = "readable and labelled" if labels_given else "readable"
        raise CalibrationError(f"none of {len(specimens)} files is {what}; give clean images of the model's own kind")
    return usable


def _images(
    classifier: Classifier, usable: Sequence[Specimen], decoder: Decoder, seed: int, left_out: Callable[[str], None]
) -> Iterator[CalibrationImage]:
    for one, pixels in read_again(usable, decoder, seed):
        if isinstance(pixels, ImageRefused):
            left_out(pixels.reason)
            continue
        label = classifier.classes.index(one.label) if one.label else None
        yield CalibrationImage(classifier.preprocess.shown(pixels), derive(one.seed, "drift"), label)
