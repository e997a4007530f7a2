"""Is the model auditable? The checks of ``classifier.checks`` on a folder, before an audit or by themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from skinaudit.audit.predictions import predict_files, score
from skinaudit.audit.records import CheckFinding
from skinaudit.audit.survey import Specimen, balanced_choice, read_again
from skinaudit.classifier.checks import accuracy_finding, check_model, expected_accuracy, in_order, one_at_a_time
from skinaudit.classifier.classifier import Classifier
from skinaudit.classifier.finding import TITLES, Finding
from skinaudit.classifier.probe import AT_ONCE
from skinaudit.images.decoder import Decoder, decode_found
from skinaudit.images.folder import FolderError, FoundFile, find_images
from skinaudit.images.refusal import ImageRefused

if TYPE_CHECKING:
    from skinaudit.audit.progress import Progress

#: Images that are looked at before an audit, and by ``models check``, where more labelled ones make a surer answer.
BEFORE_AN_AUDIT, BY_ITSELF = 16, 48


def check_before_audit(
    classifier: Classifier,
    specimens: Sequence[Specimen],
    decoder: Decoder,
    seed: int,
    batch_size: int,
    progress: Progress,
) -> tuple[CheckFinding, ...]:
    """Every check but the accuracy, on at most 16 readable images; none when no image can be read again.

    Args:
        classifier: the model.
        specimens: what the survey found, with the labels where there are some.
        decoder: reads their files.
        seed: the run's seed, as in ``survey``.
        batch_size: most images of one pass.
        progress: is told of every image, and of alarms.
    """
    readable = [one for one in specimens if one.status == "readable"]
    chosen = balanced_choice(readable, {one.image_id: one.label or "" for one in readable}, BEFORE_AN_AUDIT)
    few = [one for one in readable if one.image_id in chosen]
    progress.begin("check", "Is the model auditable?", len(few), 0)
    shown: list[NDArray[np.uint8]] = []
    labels: list[str | None] = []
    for one, pixels in read_again(few, decoder, seed):
        if not isinstance(pixels, ImageRefused):
            shown.append(pixels)
            labels.append(one.label)
    found = _check(classifier, shown, labels, min(AT_ONCE, batch_size)) if shown else ()
    progress.advance("check", len(few))
    for alarm in (one for one in found if not one.passed):
        progress.say(f"Alarm, {TITLES[alarm.check].lower()}: {alarm.evidence} {alarm.consequence}")
    return _stored(found)


def with_accuracy(
    checks: tuple[CheckFinding, ...],
    classifier: Classifier,
    specimens: Sequence[Specimen],
    predicted: Mapping[str, int],
) -> tuple[CheckFinding, ...]:
    """The checks, and that of the accuracy on every labelled image, in the order of a report.

    Args:
        checks: of ``check_before_audit``; without any, nothing is added.
        classifier: the model.
        specimens: with labels where they are known.
        predicted: class index by image id.
    """
    if not checks:
        return ()
    right = [
        classifier.classes[predicted[one.image_id]] == one.label
        for one in specimens
        if one.label in classifier.classes and one.image_id in predicted
    ]
    known = [str(one.label) for one in specimens if one.label in classifier.classes and one.image_id in predicted]
    declared = expected_accuracy(classifier.description.declared, known)
    accuracy = accuracy_finding(sum(right), len(right), declared, one_at_a_time=one_at_a_time(checks))
    return tuple(sorted((*checks, *_stored((accuracy,))), key=lambda one: list(TITLES).index(one.check)))


def check_folder(
    classifier: Classifier,
    folder: Path,
    labels: Mapping[str, str],
    decoder: Decoder,
    *,
    device: torch.device,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[Finding, ...]:
    """Every check on a folder; the accuracy on all of its labelled images, one at a time where that matters.

    Args:
        classifier: the model.
        folder: a folder, or one image file.
        labels: file stem to class name; may be empty.
        decoder: reads the files.
        device: where the classifier is.
        advance: told how many of how many files are done while the accuracy is measured.

    Raises:
        FolderError: no folder, no image in it, or none that can be read.
    """
    files = find_images(folder)
    shown: list[NDArray[np.uint8]] = []
    known: list[str | None] = []
    spread = _spread([file for file in files if file.stem in labels] or files)
    for file, picture in zip(spread, decode_found(spread, decoder), strict=True):
        if not isinstance(picture, ImageRefused):
            shown.append(picture.pixels)
            known.append(labels.get(file.stem))
    if not shown:
        raise FolderError(f"{folder}: none of {len(spread)} files that were tried can be read")
    found = _check(classifier, shown, known, AT_ONCE)
    alone = one_at_a_time(found)
    result = None
    counted: list[str] = []
    if labels:
        predicted = predict_files(
            classifier, folder, labels, decoder, batch_size=1 if alone else AT_ONCE, device=device, advance=advance
        )
        result = score(predicted, classifier.classes)
        counted = [one.label for one in predicted if one.label and one.status == "predicted"]
    declared = expected_accuracy(classifier.description.declared, counted)
    correct, n = (result.correct, result.n) if result is not None else (0, 0)
    return in_order((*found, accuracy_finding(correct, n, declared, one_at_a_time=alone)))


def _check(
    classifier: Classifier, shown: Sequence[NDArray[np.uint8]], labels: Sequence[str | None], at_once: int
) -> tuple[Finding, ...]:
    """Checks on decoded pictures (H,W,3), as the 8-bit pixels that an audit shows the model."""
    images = torch.stack([classifier.preprocess.shown(pixels) for pixels in shown]).float() / 255
    classes = classifier.classes
    known = torch.tensor([classes.index(label) if label in classes else -1 for label in labels])
    return check_model(classifier, images, known, at_once)


def _stored(findings: tuple[Finding, ...]) -> tuple[CheckFinding, ...]:
    return tuple(CheckFinding(**asdict(one)) for one in findings)


def _spread(files: Sequence[FoundFile]) -> list[FoundFile]:
    """At most ``BY_ITSELF`` files, evenly over the folder."""
    step = max(1, -(-len(files) // BY_ITSELF))
    return list(islice(files, 0, None, step))
