"""A folder of small images with the labels that a tiny model gives them, for tests that run whole commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from skinaudit.classifier.classifier import Classifier, load_classifier


def write_images(folder: Path, count: int, seed: int = 3) -> list[Path]:
    """Write ``count`` smooth random PNGs of 50 x 40 pixels, every second one in a folder below."""
    generator = np.random.default_rng(seed)
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        coarse = generator.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        path = folder / ("deep" if number % 2 else ".") / f"lesion{number}.png"
        Image.fromarray(coarse).resize((50, 40), Image.Resampling.BICUBIC).save(path)
        paths.append(path)
    return paths


def predicted_class(classifier: Classifier, path: Path) -> str:
    """What the model says of the 8-bit pixels of one image."""
    with Image.open(path) as image:
        shown = classifier.preprocess.shown(np.array(image))
    return classifier.classes[int(classifier(shown[None].float() / 255).argmax())]


def labelled_folder(folder: Path, bundle: Path, *, right: int, wrong: int) -> Path:
    """A folder with labels.csv in which the model gets ``right`` images right and ``wrong`` wrong."""
    classifier = load_classifier(bundle)
    lines = ["image,dx"]
    for number, path in enumerate(write_images(folder, right + wrong)):
        label = predicted_class(classifier, path)
        if number >= right:
            label = next(name for name in classifier.classes if name != label)
        lines.append(f"{path.stem},{label}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
