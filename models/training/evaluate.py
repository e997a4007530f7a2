"""Measure a finished bundle on a test folder, once, through the product's own path.

    python models/training/evaluate.py --model BUNDLE --images DIR --labels CSV [--write]

Prints JSON: accuracy, balanced accuracy, recall and AUC of each class, calibration error, and the share of all images
whose class changes under JPEG 90 and under ±2/255 noise. ``--write`` puts the figures into metadata.json and the model
card of the bundle.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from model_card import write_measured
from numpy.typing import NDArray
from torch import Tensor

from skinaudit.attacks.controls import jpeg, signed_noise
from skinaudit.classifier.classifier import Classifier, load_classifier
from skinaudit.images.decode import decode
from skinaudit.images.folder import find_images, read_labels
from skinaudit.metrics.success import (
    balanced_accuracy,
    expected_calibration_error,
    macro_auc,
    per_class_recall,
)

BATCH = 32
NOISE_SEED = 20180900


def load_test(classifier: Classifier, images: Path, labels: Path) -> tuple[list[Path], NDArray[np.int64]]:
    """Every labelled image of the folder with its class index, in the order of file names."""
    known = read_labels(labels, classifier.classes)
    files = [file for file in find_images(images) if file.reason is None and file.stem in known]
    indices = [classifier.classes.index(known[file.stem]) for file in files]
    return [file.path for file in files], np.array(indices, dtype=np.int64)


@torch.no_grad()
def probabilities(classifier: Classifier, pictures: Sequence[Tensor]) -> NDArray[np.float64]:
    """Softmax (n,K) of tensors (3,h,w) in about 0…255; the last batch is padded, so that every pass has one shape."""
    short = [*pictures, *[pictures[-1]] * (BATCH - len(pictures))]
    logits: Tensor = classifier(torch.stack(short) / 255)
    found: NDArray[np.float64] = logits.double().softmax(1)[: len(pictures)].numpy()
    return found


def measure_pictures(classifier: Classifier, files: Sequence[Path]) -> list[NDArray[np.float64]]:
    """Probabilities (N,K) of the images as they are, after JPEG 90, and with ±2/255 noise."""
    parts: list[list[NDArray[np.float64]]] = [[], [], []]
    for start in range(0, len(files), BATCH):
        pixels = [decode(path).pixels for path in files[start : start + BATCH]]
        compressed = [jpeg(picture) for picture in pixels]
        noisy = [signed_noise(picture, 2, NOISE_SEED + start + row) for row, picture in enumerate(pixels)]
        for part, pictures in zip(parts, (pixels, compressed, noisy), strict=True):
            part.append(probabilities(classifier, [classifier.preprocess.geometry(picture) for picture in pictures]))
    return [np.concatenate(part) for part in parts]


def figures(
    classifier: Classifier, found: Sequence[NDArray[np.float64]], labels: NDArray[np.int64]
) -> dict[str, float]:
    """Flat figures from probabilities (clean, JPEG, noise) and class indices."""
    clean, compressed, noisy = found
    decided = clean.argmax(1)
    recall = per_class_recall(decided, labels, len(classifier.classes))
    result = {
        "test_images": float(len(labels)),
        "test_accuracy": float((decided == labels).mean()),
        "test_balanced_accuracy": balanced_accuracy(decided, labels),
        "test_macro_auc": macro_auc(clean, labels),
        "test_ece": expected_calibration_error(clean, labels),
        "jpeg90_class_changes": float((compressed.argmax(1) != decided).mean()),
        "noise2_class_changes": float((noisy.argmax(1) != decided).mean()),
    }
    for index, name in enumerate(classifier.classes):
        positive = (labels == index).astype(np.int64)
        result[f"test_images_{name}"] = float(positive.sum())
        if positive.any():
            result[f"test_recall_{name}"] = float(recall[index])
            # Two columns whose order is that of the class's probability: the area of one class alone.
            result[f"test_auc_{name}"] = macro_auc(np.stack([1 - clean[:, index], clean[:, index]], 1), positive)
    return {key: round(value, 6) for key, value in result.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="bundle folder")
    parser.add_argument("--images", type=Path, required=True, help="test folder")
    parser.add_argument("--labels", type=Path, required=True, help="CSV: image,dx or the one-hot form of ISIC")
    parser.add_argument("--write", action="store_true", help="put the figures into the bundle")
    parser.add_argument("--first", type=int, help="only so many images, to try the script")
    arguments = parser.parse_args()
    if arguments.first and arguments.write:
        parser.error("--first measures a part of the test folder; such figures are not written")
    torch.set_num_threads(2)
    classifier = load_classifier(arguments.model)
    files, labels = load_test(classifier, arguments.images, arguments.labels)
    files, labels = files[: arguments.first], labels[: arguments.first]
    begun = time.monotonic()
    found = figures(classifier, measure_pictures(classifier, files), labels)
    print(json.dumps({**found, "seconds": round(time.monotonic() - begun, 1)}, indent=2))
    if arguments.write:
        write_measured(arguments.model, found)


if __name__ == "__main__":
    main()
