"""The drift limits of a run: those of the model, else measured before the first attack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skinaudit.attacks.judge import Judge
from skinaudit.audit.plan import shapes
from skinaudit.audit.progress import Progress
from skinaudit.audit.survey import Specimen, derive, read_again
from skinaudit.calibration.drift import ENOUGH_COSTLY_IMAGES, ENOUGH_IMAGES, CalibrationImage, measure_drift
from skinaudit.calibration.thresholds import DriftThreshold, Origin, read_thresholds
from skinaudit.classifier.classifier import Classifier
from skinaudit.config import AuditConfig
from skinaudit.images.decoder import Decoder
from skinaudit.images.refusal import ImageRefused
from skinaudit.interpreters.registry import title_of


def drift_limits(
    classifier: Classifier,
    judge: Judge,
    config: AuditConfig,
    usable: Sequence[Specimen],
    chosen: set[str],
    decoder: Decoder,
    progress: Progress,
) -> tuple[dict[str, DriftThreshold], dict[str, Origin]]:
    """By interpreter, with where each comes from: the bundle, else measured now, on images that are not attacked.

    Where too few are left over, attacked ones fill up.
    """
    stored = read_thresholds(classifier.description.calibration, classifier.digest)
    found = {name: stored[name] for name in config.interpreters if name in stored}
    origins: dict[str, Origin] = dict.fromkeys(found, "bundle")
    # Those that are not attacked first; the sort keeps the order otherwise.
    spare_first = sorted(usable, key=lambda one: one.image_id in chosen)
    missing, costly = [name for name in config.interpreters if name not in stored], shapes(config)
    for names, most in (
        ([name for name in missing if name not in costly], ENOUGH_IMAGES),
        ([name for name in missing if name in costly], ENOUGH_COSTLY_IMAGES),
    ):
        if not names:
            continue
        source, titles = spare_first[:most], ", ".join(map(title_of, names))
        reused = sum(one.image_id in chosen for one in source)
        if reused:
            progress.say(
                f"No stored thresholds for {titles} and too few spare images: {reused} of the {len(source)} images "
                "that they are measured on are attacked later"
            )
        progress.begin("calibrate", f"Measuring map drift ({titles})", len(source), 0)
        measured = measure_drift(
            judge,
            classifier.preprocess,
            names,
            _calibration_images(classifier, source, decoder, config.seed, progress),
            classifier.digest,
            batch=config.batch_size,
            advance=lambda count: progress.advance("calibrate", count),
        )
        found |= {threshold.interpreter: threshold for threshold in measured}
        origins |= dict.fromkeys(names, "calibrated on the attacked images" if reused else "calibrated in this run")
    return {name: found[name] for name in config.interpreters}, origins


def _calibration_images(
    classifier: Classifier, source: Sequence[Specimen], decoder: Decoder, seed: int, progress: Progress
) -> Iterator[CalibrationImage]:
    for one, pixels in read_again(source, decoder, seed):
        if isinstance(pixels, ImageRefused):
            progress.say(f"An image is left out of the drift limits: {pixels.reason}")
        else:
            yield CalibrationImage(classifier.preprocess.shown(pixels), derive(one.seed, "drift"))
