"""The drift limits of a run: those of the model, else measured before the first attack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from skinaudit.attacks.judge import Judge
from skinaudit.audit.progress import Progress
from skinaudit.audit.survey import Specimen, derive, read_again
from skinaudit.calibration.drift import CalibrationImage, measure_drift
from skinaudit.calibration.thresholds import DriftThreshold, read_thresholds
from skinaudit.classifier.classifier import Classifier
from skinaudit.config import AuditConfig
from skinaudit.images.decoder import Decoder
from skinaudit.images.refusal import ImageRefused

Origin = Literal["bundle", "calibrated in this run", "calibrated on the attacked images"]
#: Clean images that an uncalibrated model is calibrated on at most.
CALIBRATION_IMAGES = 100


def drift_limits(
    classifier: Classifier,
    judge: Judge,
    config: AuditConfig,
    usable: Sequence[Specimen],
    chosen: set[str],
    decoder: Decoder,
    progress: Progress,
) -> tuple[dict[str, DriftThreshold], Origin]:
    """From the bundle; else measured now, on images that are not attacked where there are enough of them."""
    stored = read_thresholds(classifier.description.calibration, classifier.digest)
    missing = [name for name in config.interpreters if name not in stored]
    if not missing:
        return {name: stored[name] for name in config.interpreters}, "bundle"
    spare = [one for one in usable if one.image_id not in chosen]
    source = (spare if len(spare) >= CALIBRATION_IMAGES else list(usable))[:CALIBRATION_IMAGES]
    if source and source[0].image_id in chosen:
        progress.say(
            "No stored thresholds and too few spare images: thresholds come from the attacked images' clean state"
        )
    progress.begin("calibrate", "Measuring map drift", len(source), 0)
    measured = measure_drift(
        judge,
        classifier.preprocess,
        missing,
        _calibration_images(classifier, source, decoder, config.seed, progress),
        classifier.digest,
        batch=config.batch_size,
        advance=lambda count: progress.advance("calibrate", count),
    )
    found = stored | {threshold.interpreter: threshold for threshold in measured}
    reused = any(one.image_id in chosen for one in source)
    origin: Origin = "calibrated on the attacked images" if reused else "calibrated in this run"
    return {name: found[name] for name in config.interpreters}, origin


def _calibration_images(
    classifier: Classifier, source: Sequence[Specimen], decoder: Decoder, seed: int, progress: Progress
) -> Iterator[CalibrationImage]:
    for one, pixels in read_again(source, decoder, seed):
        if isinstance(pixels, ImageRefused):
            progress.say(f"An image is left out of the drift limits: {pixels.reason}")
        else:
            yield CalibrationImage(classifier.preprocess.shown(pixels), derive(one.seed, "drift"))
