"""Measure how far maps drift under harmless changes: JPEG 90, ±2/255 noise, a shift by half a pixel."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from skinaudit.attacks.controls import HARMLESS, harmless
from skinaudit.attacks.judge import Clean, Judge, Question
from skinaudit.calibration.thresholds import DriftThreshold
from skinaudit.interpreters.registry import family_of

if TYPE_CHECKING:
    from torch import Tensor

    from skinaudit.classifier.preprocess import Preprocess

#: Share of harmless changes whose maps count as kept, by L1 and by overlap alike.
PERCENTILE = 95.0
#: Images below which a threshold is a rough one; of maps that cost hundreds of passes fewer do.
ENOUGH_IMAGES, ENOUGH_COSTLY_IMAGES = 100, 30


def enough_images(interpreter: str) -> int:
    """Images below which a threshold of this interpreter is a rough one."""
    return ENOUGH_COSTLY_IMAGES if family_of(interpreter) == "perturbation" else ENOUGH_IMAGES


class CalibrationError(ValueError):
    """There is nothing to measure a threshold on."""


@dataclass(frozen=True)
class CalibrationImage:
    """One clean image: uint8 pixels (3,h,w) in model orientation, a seed, its class index or None without labels."""

    shown: Tensor
    seed: int
    label: int | None = None


@dataclass
class _Drift:
    """Distances gathered for one interpreter."""

    l1: dict[str, list[float]] = field(default_factory=lambda: {change: [] for change in HARMLESS})
    iou20: list[float] = field(default_factory=list)


def measure_drift(
    judge: Judge,
    preprocess: Preprocess,
    interpreters: Iterable[str],
    images: Iterable[CalibrationImage],
    model_digest: str,
    *,
    batch: int = 8,
    advance: Callable[[int], None] = lambda _count: None,
) -> list[DriftThreshold]:
    """Thresholds of each interpreter: 95th percentile of L1 and 5th of top-20 % IoU, pooled over all pairs.

    Only images that the model gets right (where labels are known) count, and only changes that leave the class.

    Args:
        judge: holds the classifier and the interpreters.
        preprocess: turns pixels to the photograph's orientation, where harmless changes happen.
        interpreters: names to calibrate.
        images: clean images that are not attacked; consumed in batches, never held all at once.
        model_digest: digest of the model's tensors, stored with the result.
        batch: images at a time.
        advance: told how many images are done.

    Raises:
        CalibrationError: no usable image.
    """
    names = tuple(interpreters)
    drift = {name: _Drift() for name in names}
    digests: list[str] = []
    for part in _parts(images, batch):
        clean = judge.clean([image.shown for image in part], names)
        usable = [
            (image, view)
            for image, view in zip(part, clean, strict=True)
            if image.label is None or image.label == view.predicted
        ]
        digests += [hashlib.sha256(image.shown.numpy().tobytes()).hexdigest() for image, _ in usable]
        if usable:
            _gather(judge, preprocess, drift, usable)
        advance(len(part))
    if not digests:
        raise CalibrationError(
            "no image is left to calibrate on: the model gets none of them right; give images of its own kind"
        )
    data_digest = hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()
    return [_threshold(name, drift[name], len(digests), data_digest, model_digest) for name in names]


def _parts(images: Iterable[CalibrationImage], size: int) -> Iterator[list[CalibrationImage]]:
    stream = iter(images)
    while part := list(islice(stream, size)):
        yield part


def _gather(
    judge: Judge, preprocess: Preprocess, drift: Mapping[str, _Drift], usable: list[tuple[CalibrationImage, Clean]]
) -> None:
    for change in HARMLESS:
        changed = []
        for image, _ in usable:
            photograph = preprocess.to_display(image.shown).permute(1, 2, 0).contiguous().numpy()
            moved = torch.from_numpy(np.array(harmless(change, photograph, image.seed)))
            changed.append(preprocess.from_display(moved.permute(2, 0, 1)).contiguous())
        for name, found in drift.items():
            questions = [Question(pixels, view, name) for pixels, (_, view) in zip(changed, usable, strict=True)]
            for seen, (_, view) in zip(judge.shown(questions), usable, strict=True):
                if seen.predicted == view.predicted:
                    found.l1[change].append(seen.shown_distance.l1)
                    found.iou20.append(seen.shown_distance.iou20)


def _threshold(name: str, drift: _Drift, images: int, data_digest: str, model_digest: str) -> DriftThreshold:
    pooled = [value for values in drift.l1.values() for value in values]
    if not pooled:
        raise CalibrationError(
            f"{name}: every harmless change altered the diagnosis, so no map drift can be measured; "
            "the model is too unstable to be audited for kept maps"
        )
    return DriftThreshold(
        interpreter=name,
        l1=float(np.percentile(pooled, PERCENTILE)),
        iou20=float(np.percentile(drift.iou20, 100 - PERCENTILE)),
        images=images,
        pairs=len(pooled),
        by_change={
            change: (float(np.percentile(values, PERCENTILE)) if values else 0.0, len(values))
            for change, values in drift.l1.items()
        },
        data_digest=data_digest,
        model_digest=model_digest,
    )
