"""A small but whole audit: a seeded network on 32-pixel pictures, a dozen photographs, labels the model agrees with."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from skinaudit.audit.session import AuditRequest
from skinaudit.classifier.classifier import load_classifier
from skinaudit.classifier.source import ModelSource
from skinaudit.config import AuditConfig, Budget, Preset
from skinaudit.images.decoder import DirectDecoder
from tests.bundles import make_bundle

#: Decodes in the test's own process: the files are ours.
DIRECT = DirectDecoder()

BUDGET = Budget(images=6, pgd_steps=10, cam_steps=20, grad_steps=20, warm_steps=5, controls=1, early_stop=True)


@dataclass
class Listener:
    """Remembers what an audit told it; can interrupt it after a number of units."""

    stages: dict[str, tuple[int, int]] = field(default_factory=dict)
    advanced: dict[str, int] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    interrupt_after: tuple[str, int] | None = None

    def begin(self, stage: str, title: str, total: int, done: int) -> None:
        assert title
        self.stages[stage] = (total, done)

    def advance(self, stage: str, count: int) -> None:
        self.advanced[stage] = self.advanced.get(stage, 0) + count
        if self.interrupt_after == (stage, self.advanced[stage]):
            raise KeyboardInterrupt

    def say(self, text: str) -> None:
        self.said.append(text)


@dataclass
class Deleting(Listener):
    """Somebody deletes a file when a stage begins."""

    path: Path = Path()
    at: str = ""

    def begin(self, stage: str, title: str, total: int, done: int) -> None:
        super().begin(stage, title, total, done)
        if stage == self.at:
            self.path.unlink()


def photograph(seed: int, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    """Soft random colours: (H,W,3) uint8."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def write_photographs(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"photo_{number:02d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.fromarray(photograph(number)).save(path)
    return paths


def write_labels(bundle: Path, images: list[Path], wrong: int = 2) -> Path:
    """The model's own opinion as labels, but for the last ``wrong`` images and one that has none."""
    classifier = load_classifier(bundle)
    rows = []
    for place, path in enumerate(images[:-1]):
        x = classifier.preprocess.shown(np.asarray(Image.open(path)))[None].float() / 255
        index = int(classifier(x).argmax())
        if place >= len(images) - 1 - wrong:
            index = (index + 1) % len(classifier.classes)
        rows.append((path.stem, classifier.classes[index]))
    target = images[0].parent / "labels.csv"
    with target.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "dx"), *rows])
    return target


def request(folder: Path, *, count: int = 10, budget: Budget = BUDGET, labels: bool = True) -> AuditRequest:
    """A request on fresh files below ``folder``: one unreadable file and one duplicate among the images."""
    bundle = make_bundle(folder / "bundle")
    images = write_photographs(folder / "images", count)
    named = write_labels(bundle, images) if labels else None
    (folder / "images" / "broken.png").write_bytes(images[0].read_bytes()[:60])
    (folder / "images" / "same_again.png").write_bytes(images[0].read_bytes())
    config = AuditConfig(interpreters=("cam", "grad"), preset=Preset.QUICK, budget=budget, batch_size=4, threads=1)
    return AuditRequest(ModelSource(bundle), folder / "images", named, config, write_key(folder))


def write_key(folder: Path) -> Path:
    """The same key in every test session: the order of image ids, and with it every choice among them, hangs on it."""
    key = folder / "key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_bytes(b"skinaudit tests: no site's secret")
    return key
