"""Made-up runs for the tests of the report: drawn lesions, drawn maps, numbers that were never measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skinaudit.audit.records import Attack, ImageRecord, MapDistances, ModelCard, Prediction, Record, RunHeader
from skinaudit.calibration.thresholds import DriftThreshold
from skinaudit.config import PRESETS, AuditConfig, Preset

CLASSES = ("mel", "nv", "bcc", "akiec", "bkl", "df", "vasc")
TITLES = (
    "Melanoma",
    "Melanocytic naevus",
    "Basal cell carcinoma",
    "Actinic keratosis",
    "Benign keratosis",
    "Dermatofibroma",
    "Vascular lesion",
)
MALIGNANT = ("mel", "bcc", "akiec")
LIMITS = {"cam": 0.082, "grad": 0.094}


@dataclass
class SyntheticRun:
    """A run held in memory, with its artifacts in a folder."""

    folder: Path
    header: RunHeader
    image_rows: list[ImageRecord]
    record_rows: list[Record]
    closed_at: str = "2026-03-14T09:26:53+00:00"

    def images(self) -> list[ImageRecord]:
        return list(self.image_rows)

    def records(self) -> list[Record]:
        return list(self.record_rows)

    def artifact(self, relative: str) -> Path:
        return self.folder / relative

    def chain_head(self) -> str:
        return "c4" * 32


def header(
    interpreters: tuple[str, ...] = ("cam", "grad"),
    *,
    titles: tuple[str, ...] = TITLES,
    labels_given: bool = True,
    name: str = "isic2018-efficientnet-lite0",
    images_found: int = 16,
    limits: bool = True,
) -> RunHeader:
    model = ModelCard(
        name=name,
        version="0.1.0",
        network="timm tf_efficientnet_lite0",
        parameters=3_379_975,
        tensor_digest="a1" * 32,
        config_digest="b2" * 32,
        classes=CLASSES,
        class_titles=titles,
        malignant=MALIGNANT,
        input_size=(224, 224),
        preprocessing=("LoadImage", "EnsureChannelFirst", "Resize (224, 224)", "ScaleIntensityRange 0–255 to 0–1"),
        ignored=("handlers", "evaluator", "$import os"),
        licence="CC BY-NC 4.0",
        declared={"accuracy": 0.802, "balanced accuracy": 0.655, "macro AUC": 0.946},
    )
    changes = {"jpeg 90": (0.061, 240), "noise 2/255": (0.078, 240), "half-pixel shift": (0.092, 240)}
    thresholds = tuple(
        DriftThreshold(
            interpreter=interpreter,
            l1=LIMITS.get(interpreter, 0.09),
            iou20=0.62,
            images=240,
            pairs=720,
            by_change=changes,
            data_digest="d3" * 32,
            model_digest="a1" * 32,
        )
        for interpreter in (interpreters if limits else ())
    )
    return RunHeader(
        run_id="2026-03-14-quick-7f3a",
        tool_version="0.1.0",
        created="2026-03-14T09:11:02+00:00",
        config=AuditConfig(interpreters=interpreters, preset=Preset.QUICK, budget=PRESETS[Preset.QUICK]),
        model=model,
        thresholds=thresholds,
        threshold_origins={one.interpreter: "bundle" for one in thresholds},
        images_digest="e5" * 32,
        images_found=images_found,
        labels_given=labels_given,
        environment={"python": "3.11.9", "torch": "2.14.0", "platform": "Linux x86_64", "cpu threads": "1"},
        command="skinaudit audit isic2018-efficientnet-lite0 IMAGES --labels LABELS --preset quick --seed 0",
    )


def probabilities(index: int, confidence: float) -> Prediction:
    rest = (1 - confidence) / (len(CLASSES) - 1)
    return Prediction(
        index=index,
        confidence=confidence,
        probabilities=tuple(confidence if place == index else rest for place in range(len(CLASSES))),
    )


def distances(l1: float, iou20: float) -> MapDistances:
    return MapDistances(
        l1=l1, rms=l1 * 1.3, iou10=iou20, iou20=iou20, iou30=iou20, iou_half=iou20, spearman=1 - l1, ssim=1 - l1
    )


def verdict(
    image_id: str,
    attack: Attack,
    *,
    interpreter: str = "cam",
    source: int = 0,
    target: int | None = 1,
    flipped: bool = True,
    kept: bool | None = True,
    l1: float = 0.02,
    iou20: float = 0.9,
    confidence: float = 0.97,
    draw: int = 0,
    artifacts: dict[str, str] | None = None,
) -> Record:
    """One judged record."""
    shown = (target if target is not None else 1) if flipped else source
    return Record(
        unit_id=f"{image_id}-{interpreter}-{attack}-{draw}",
        image_id=image_id,
        interpreter=interpreter,
        attack=attack,
        source_class=source,
        target_class=target if attack in ("adv2", "pgd") else None,
        status="judged",
        draw=draw,
        prediction=probabilities(shown, confidence),
        flipped=flipped,
        linf_levels=8 if attack in ("adv2", "pgd", "noise") else 0,
        image_ssim=0.94,
        to_target=distances(l1, iou20),
        original_class=distances(min(1.0, l1 * 6), 0.3),
        kept=kept,
        joint=None if kept is None else flipped and kept,
        steps=40 if attack == "adv2" else 20,
        stop="target reached",
        artifacts=artifacts or {},
    )


def lesion(seed: int, size: int = 224) -> NDArray[np.uint8]:
    """A dark, irregular spot on skin, (size, size, 3)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    tones = np.array([(226, 182, 160), (203, 152, 122), (164, 112, 82), (121, 80, 58)], dtype=np.float64)
    skin = tones[seed % len(tones)]
    angle, radius = np.arctan2(y - 0.08, x + 0.05), np.hypot(x + 0.05, y - 0.08)
    border = 0.42 + sum(random.normal(0, 0.05) * np.sin(wave * angle + random.uniform(0, 6)) for wave in range(2, 7))
    inside = 1 / (1 + np.exp((radius - border) * 26))
    blotch = sum(
        random.uniform(0.2, 0.5)
        * np.exp(-((x - random.normal(0, 0.25)) ** 2 + (y - random.normal(0, 0.25)) ** 2) / 0.03)
        for _ in range(6)
    )
    pigment = np.array([92, 52, 38], dtype=np.float64)
    depth = (inside * (0.68 + 0.3 * blotch)).clip(0, 1)[..., None]
    grain = random.normal(0, 5, (size, size, 1)) + random.normal(0, 2, (size, size, 3))
    vignette = (1 - 0.25 * np.hypot(x, y) ** 2)[..., None]
    return ((skin * (1 - depth) + pigment * depth + grain) * vignette).clip(0, 255).astype(np.uint8)


def saliency(seed: int, side: int, spread: float = 0.2, move: float = 0.0) -> NDArray[np.float32]:
    """A soft blob, (side, side) in [0,1]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    left, up = random.normal(0, 0.15, 2) + move
    blob = np.exp(-((x - left) ** 2 + (y - up) ** 2) / spread) + random.uniform(0, 0.12, (side, side))
    return ((blob - blob.min()) / (blob.max() - blob.min())).astype(np.float32)


def write_pictures(folder: Path, number: int, name: str, interpreters: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Photograph, adversarial photographs and maps of one image; artifacts by (owner) name."""
    clean = lesion(number)
    noise = np.random.default_rng(number + 10_000).integers(-8, 9, (14, 14, 3)).repeat(16, 0).repeat(16, 1)
    changed = (clean.astype(np.int16) + noise).clip(0, 255).astype(np.uint8)
    found: dict[str, dict[str, str]] = {"clean": {"clean": f"{name}-clean.png"}, "pgd": {}}
    Image.fromarray(clean).save(folder / f"{name}-clean.png", compress_level=1)
    Image.fromarray(changed).save(folder / f"{name}-pgd.png", compress_level=1)
    for interpreter in interpreters:
        side = {"cam": 7, "grad": 56}.get(interpreter, 28)
        Image.fromarray(changed).save(folder / f"{name}-adv2-{interpreter}.png", compress_level=1)
        maps = {
            f"{name}-map-{interpreter}.npy": saliency(number, side),
            f"{name}-adv2-{interpreter}.npy": saliency(number, side, 0.205, 0.01),
            f"{name}-adv2-{interpreter}-original.npy": saliency(number, side, 0.1, 0.5),
            f"{name}-pgd-{interpreter}.npy": saliency(number + 1, side, 0.12, -0.55),
        }
        for file, values in maps.items():
            np.save(folder / file, values)
        found["clean"][f"map-{interpreter}"] = f"{name}-map-{interpreter}.npy"
        found[f"adv2-{interpreter}"] = {
            "image": f"{name}-adv2-{interpreter}.png",
            "map": f"{name}-adv2-{interpreter}.npy",
            "map-original": f"{name}-adv2-{interpreter}-original.npy",
        }
        found[f"pgd-{interpreter}"] = {"image": f"{name}-pgd.png", "map": f"{name}-pgd-{interpreter}.npy"}
    return found


def _image(number: int, name: str, artifacts: dict[str, str], *, labels: bool, drawn: bool) -> ImageRecord:
    source = number % len(CLASSES)
    return ImageRecord(
        image_id=name,
        status="attacked",
        file_format="JPEG",
        width=600,
        height=450,
        drawn=drawn,
        label=CLASSES[source] if labels else None,
        prediction=probabilities(source, 0.99 - 0.02 * (number % 9)),
        artifacts=artifacts,
    )


def _verdicts(
    number: int, name: str, interpreter: str, pictures: dict[str, dict[str, str]], succeed: bool
) -> list[Record]:
    """Five arms of one image; every seventh map moves, every eleventh diagnosis holds, GRAD hardly looks."""
    random = np.random.default_rng(number * 31 + len(interpreter))
    source = number % len(CLASSES)
    target = 1 if source in (0, 2, 3) else 0
    limit = LIMITS.get(interpreter, 0.09)
    held, moved = not succeed or number % 11 == 10, number % 7 == 5
    l1 = float(random.uniform(1.1, 1.8) * limit if moved else random.uniform(0.15, 0.8) * limit)
    careless = interpreter == "grad" and number % 2 == 0
    wild = float(random.uniform(0.4, 0.9) * limit if careless else random.uniform(0.18, 0.46))

    def row(attack: Attack, *, flipped: bool, distance: float, confidence: float, files: str = "") -> Record:
        kept = distance <= limit
        return verdict(
            name,
            attack,
            interpreter=interpreter,
            source=source,
            target=target,
            flipped=flipped,
            kept=kept,
            l1=distance,
            iou20=max(0.0, 1 - 3 * distance),
            confidence=confidence,
            artifacts=pictures.get(files, {}),
        )

    return [
        row(
            "adv2",
            flipped=not held,
            distance=l1,
            confidence=0.96 + 0.03 * float(random.random()),
            files=f"adv2-{interpreter}",
        ),
        row("pgd", flipped=succeed, distance=wild if succeed else l1, confidence=0.98, files=f"pgd-{interpreter}"),
        row("noise", flipped=number % 13 == 12, distance=float(random.uniform(0.01, 1.05) * limit), confidence=0.9),
        row("jpeg", flipped=False, distance=float(random.uniform(0.005, 0.6) * limit), confidence=0.93),
        row("shift", flipped=False, distance=float(random.uniform(0.01, 0.9) * limit), confidence=0.94),
    ]


def synthetic_run(
    folder: Path,
    count: int,
    *,
    interpreters: tuple[str, ...] = ("cam", "grad"),
    succeed: bool = True,
    labels: bool = True,
    pictures_of: int = 40,
    with_excluded: bool = True,
) -> SyntheticRun:
    """A run of ``count`` attacked images; the first ``pictures_of`` have files, which the rest share."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [
        write_pictures(folder, number, f"p{number:03d}", interpreters) for number in range(min(count, pictures_of))
    ]
    images, records = [], []
    for number in range(count):
        name, pictures = f"{number:04x}{'9f' * 14}", written[number % len(written)]
        images.append(_image(number, name, pictures["clean"], labels=labels, drawn=number % 3 == 0))
        for interpreter in interpreters:
            records += _verdicts(number, name, interpreter, pictures, succeed)
    if with_excluded:
        images += excluded(labels=labels)
        first = records[0].model_copy(
            update={"unit_id": "failed", "status": "failed", "reason": "the map was not finite"}
        )
        records.append(
            first.model_copy(update={"image_id": images[-1].image_id, "prediction": None, "to_target": None})
        )
    return SyntheticRun(folder, header(interpreters, labels_given=labels, images_found=len(images)), images, records)


def excluded(*, labels: bool = True) -> list[ImageRecord]:
    """Images that were found and not attacked."""
    wrong = ImageRecord(
        image_id="ff01" * 8,
        status="misclassified",
        reason="predicted nv, labelled mel",
        label="mel" if labels else None,
        prediction=probabilities(1, 0.71),
    )
    return [
        *([wrong] if labels else []),
        ImageRecord(image_id="ff02" * 8, status="unreadable", reason="the file ends before its last row of pixels"),
        ImageRecord(image_id="ff03" * 8, status="duplicate", reason="same pixels as 0000"),
    ]
