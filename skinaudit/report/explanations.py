"""The maps that a clinician would see beside unchanged photographs, as pictures and as numbers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from skinaudit.attacks.judge import exact_arithmetic
from skinaudit.classifier.classifier import Classifier
from skinaudit.images.decoder import Decoder, decode_found
from skinaudit.images.folder import FoundFile, find_images
from skinaudit.images.refusal import ImageRefused
from skinaudit.interpreters.base import Interpreter
from skinaudit.report.pictures import overlay

#: White pixels between photograph and overlay.
_GAP = 8
_LONGEST_NAME = 120  # bytes of a file name; endings are added, and file systems stop at 255


@dataclass(frozen=True)
class Explanation:
    """One file: the diagnosis with its probability, the class that is explained, and the files written."""

    file_name: str
    reason: str | None = None  # why there is no map
    diagnosis: int = -1
    confidence: float = 0.0
    explained: int = -1
    explained_confidence: float = 0.0
    pictures: Mapping[str, Path] | None = None  # by interpreter: PNG
    maps: Mapping[str, Path] | None = None  # by interpreter: NPY, (h,w) float32 in [0,1]


def explain_files(
    classifier: Classifier,
    interpreters: Mapping[str, Interpreter],
    images: Path,
    out: Path,
    device: torch.device,
    decoder: Decoder,
    class_index: int | None = None,
) -> Iterator[Explanation]:
    """Write photograph and map side by side (PNG) and the map itself (NPY) for each file.

    Args:
        classifier: the model.
        interpreters: by name.
        images: a folder, or one image file.
        out: folder for the files, made if needed; folders below ``images`` are kept.
        device: where the classifier is.
        decoder: reads the files.
        class_index: the class to explain; None: the one that is predicted.

    Raises:
        FolderError: no folder, or no image in it.
        OSError: a file cannot be written.
    """
    files = find_images(images)
    for file, picture in zip(files, decode_found(files, decoder), strict=True):
        if isinstance(picture, ImageRefused):
            yield Explanation(file.relative, picture.reason)
        else:
            shown = classifier.preprocess.shown(picture.pixels)
            yield _explain(classifier, interpreters, file, shown.to(device), out, class_index)


def _explain(
    classifier: Classifier,
    interpreters: Mapping[str, Interpreter],
    file: FoundFile,
    shown: torch.Tensor,
    out: Path,
    class_index: int | None,
) -> Explanation:
    x = shown[None].float() / 255
    with torch.no_grad(), exact_arithmetic():
        probabilities = classifier(x)[0].softmax(0)
    diagnosis = int(probabilities.argmax())
    explained = diagnosis if class_index is None else class_index
    photograph = classifier.preprocess.to_display(shown).permute(1, 2, 0).contiguous().cpu().numpy()
    pictures, maps = {}, {}
    for name, interpreter in interpreters.items():
        with exact_arithmetic():
            found = interpreter.explain(x, torch.tensor([explained], device=x.device))[0].detach().float().cpu()
        saliency = classifier.preprocess.to_display(found).contiguous().numpy().astype(np.float32)
        place = _place(out, file, name, classifier.classes[explained])
        place.parent.mkdir(parents=True, exist_ok=True)
        pictures[name], maps[name] = place.with_name(f"{place.name}.png"), place.with_name(f"{place.name}.npy")
        Image.fromarray(side_by_side(photograph, overlay(photograph, saliency))).save(pictures[name], "PNG")
        np.save(maps[name], saliency, allow_pickle=False)
    return Explanation(
        file.relative, None, diagnosis, float(probabilities[diagnosis]), explained, float(probabilities[explained]),
        pictures, maps,
    )  # fmt: skip


def side_by_side(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two pictures (H,W,3) beside each other with a white gap."""
    gap = np.full((left.shape[0], _GAP, 3), 255, dtype=np.uint8)
    return np.concatenate([left, gap, right], axis=1)


def _place(out: Path, file: FoundFile, interpreter: str, class_name: str) -> Path:
    """Below ``out`` as the file lies in its folder; the class name is made safe for a file name."""
    safe = re.sub(r"[^A-Za-z0-9]+", "-", class_name).strip("-") or "class"
    name = Path(file.relative).name
    if len(name.encode()) > _LONGEST_NAME:
        # The end tells such files apart less often than the whole name does, so a digest of it goes along.
        name = f"{name[:40]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return out / Path(file.relative).parent / f"{name}.{interpreter}.{safe[:40]}"
