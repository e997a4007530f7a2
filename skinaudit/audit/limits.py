"""The drift limits of a run: those of the model, else measured before the first attack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from skinaudit.attacks.judge import Judge
from skinaudit.audit.plan import shapes
from skinaudit.audit.progress import Progress
from skinaudit.audit.survey import Specimen, derive, read_again
from skinaudit.calibration.drift import CalibrationImage, measure_drift
from skinaudit.calibration.thresholds import DriftThreshold, read_thresholds
from skinaudit.classifier.classifier import Classifier
from skinaudit.config import AuditConfig
from skinaudit.images.decoder import Decoder
from skinaudit.images.refusal import ImageRefused
from skinaudit.interpreters.registry import title_of

Origin = Literal["bundle", "calibrated in this run", "calibrated on the attacked images"]
#: Clean images that an uncalibrated model is calibrated on at most; fewer where one map costs hundreds of passes.
CALIBRATION_IMAGES, COSTLY_CALIBRATION_IMAGES = 100, 30


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
    costly = shapes(config)
    measured: list[DriftThreshold] = []
    reused = False
    for names, most in (
        ([name for name in missing if name not in costly], CALIBRATION_IMAGES),
        ([name for name in missing if name in costly], COSTLY_CALIBRATION_IMAGES),
    ):
        if not names:
            continue
        source = (spare if len(spare) >= most else list(usable))[:most]
        reused |= any(one.image_id in chosen for one in source)
        if reused:
            progress.say(
                "No stored thresholds and too few spare images: thresholds come from the attacked images' clean state"
            )
        progress.begin("calibrate", f"Measuring map drift ({', '.join(map(title_of, names))})", len(source), 0)
        measured += measure_drift(
            judge,
            classifier.preprocess,
            names,
            _calibration_images(classifier, source, decoder, config.seed, progress),
            classifier.digest,
            batch=config.batch_size,
            advance=lambda count: progress.advance("calibrate", count),
        )
    found = stored | {threshold.interpreter: threshold for threshold in measured}
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
