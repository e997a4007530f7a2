"""What the deployed system says of a folder: the model on unrounded pixels, every file accounted for."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from skinaudit.attacks.judge import Judge
from skinaudit.audit.export import cell
from skinaudit.classifier.classifier import Classifier
from skinaudit.images.decode import Picture
from skinaudit.images.decoder import Decoder, decode_found
from skinaudit.images.folder import FoundFile, find_images
from skinaudit.images.refusal import ImageRefused
from skinaudit.metrics.success import balanced_accuracy


@dataclass(frozen=True)
class FilePrediction:
    """One file: probabilities (K) and the index of the highest, or why there are none."""

    file_name: str
    status: Literal["predicted", "unreadable", "refused"]
    reason: str | None = None
    label: str | None = None
    predicted: int | None = None
    probabilities: tuple[float, ...] = ()


@dataclass(frozen=True)
class Score:
    """How often predictions agree with labels, over the ``n`` images that have both; shares in [0,1]."""

    n: int
    correct: int
    balanced_accuracy: float

    @property
    def accuracy(self) -> float:
        """Share that is right."""
        return self.correct / self.n


def predict_files(
    classifier: Classifier,
    folder: Path,
    labels: Mapping[str, str],
    decoder: Decoder,
    *,
    batch_size: int,
    device: torch.device,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[FilePrediction]:
    """Predictions of every file of a folder, sorted by path; a batch of images is held at a time.

    Args:
        classifier: the model.
        folder: a folder, or one image file.
        labels: file stem to class name; may be empty.
        decoder: reads the files.
        batch_size: images at a time.
        device: where the classifier is.
        advance: told how many of how many files are done.

    Raises:
        FolderError: no folder, or no image in it.
    """
    judge = Judge(classifier, {}, batch_size, device)
    files = find_images(folder)
    pictures = decode_found(files, decoder)
    found: list[FilePrediction] = []
    for start in range(0, len(files), batch_size):
        part = files[start : start + batch_size]
        found += _predict(classifier, judge, zip(part, islice(pictures, len(part)), strict=True), labels)
        advance(len(found), len(files))
    return found


def score(predictions: Sequence[FilePrediction], classes: Sequence[str]) -> Score | None:
    """Accuracy and balanced accuracy; None when no image has both a label and a prediction."""
    both = [(one.predicted, classes.index(one.label)) for one in predictions if one.label and one.status == "predicted"]
    if not both:
        return None
    predicted, labels = np.array([pair[0] for pair in both]), np.array([pair[1] for pair in both])
    return Score(len(both), int((predicted == labels).sum()), balanced_accuracy(predicted, labels))


def predictions_table(predictions: Sequence[FilePrediction], classes: Sequence[str]) -> str:
    """All predictions as CSV text, a line for each file; harmless to a spreadsheet, as ``results.csv`` is."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = ("file", "status", "reason", "label", "predicted", "confidence", *(f"p_{name}" for name in classes))
    writer.writerow([cell(head) for head in heads])
    for one in predictions:
        name, confidence = (None, None) if one.predicted is None else (classes[one.predicted], max(one.probabilities))
        probabilities = one.probabilities or (None,) * len(classes)
        row = (one.file_name, one.status, one.reason, one.label, name, confidence, *probabilities)
        writer.writerow([cell(value) for value in row])
    return text.getvalue()


def _predict(
    classifier: Classifier,
    judge: Judge,
    files: Iterable[tuple[FoundFile, Picture | ImageRefused]],
    labels: Mapping[str, str],
) -> list[FilePrediction]:
    pixels: list[torch.Tensor] = []
    found: list[FilePrediction] = []
    for file, picture in files:
        label = labels.get(file.stem)
        if isinstance(picture, ImageRefused):
            found.append(FilePrediction(file.relative, picture.status, picture.reason, label))
        else:
            pixels.append(classifier.preprocess.geometry(picture.pixels))
            found.append(FilePrediction(file.relative, "predicted", label=label))
    logits = iter(judge.logits(pixels) if pixels else ())
    return [_filled(one, next(logits)) if one.status == "predicted" else one for one in found]


def _filled(one: FilePrediction, logits: torch.Tensor) -> FilePrediction:
    probabilities = tuple(logits.softmax(0).tolist())
    return FilePrediction(one.file_name, one.status, None, one.label, int(logits.argmax()), probabilities)
