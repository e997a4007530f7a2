"""A header and rows for tests of the run directory, with every field that matters filled in."""

from __future__ import annotations

from dataclasses import fields

from skinaudit.audit.records import ImageRecord, MapDistances, ModelCard, Prediction, Record, RunHeader
from skinaudit.calibration.thresholds import DriftThreshold
from skinaudit.config import AuditConfig

CLASSES = ("nv", "mel", "=cmd()")


def threshold(interpreter: str = "cam", l1: float = 0.05) -> DriftThreshold:
    return DriftThreshold(
        interpreter=interpreter,
        l1=l1,
        iou20=0.8,
        images=120,
        pairs=360,
        by_change={"jpeg": (0.04, 120)},
        data_digest="d" * 64,
        model_digest="a" * 64,
    )


def header(**changed: object) -> RunHeader:
    model = ModelCard(
        name="small",
        version="1",
        network="tf_efficientnet_lite0",
        parameters=10,
        tensor_digest="a" * 64,
        config_digest="b" * 64,
        classes=CLASSES,
        class_titles=("Nevus", "Melanoma", "Other"),
        malignant=("mel",),
        input_size=(224, 224),
        preprocessing=("Resize",),
        ignored=(),
        licence="Apache-2.0",
        declared={"accuracy": 0.8},
    )
    first = RunHeader(
        run_id="run-1",
        tool_version="0.1.0",
        created="2026-01-02T03:04:05Z",
        config=AuditConfig(),
        model=model,
        thresholds=(threshold(),),
        threshold_origins={"cam": "bundle"},
        images_digest="c" * 64,
        images_found=2,
        labels_given=True,
        environment={"threads": "1", "device class": "cpu", "precision": "fp32", "python": "3.11"},
        command="skinaudit audit MODEL IMAGES",
    )
    return first.model_copy(update=changed)


def image(image_id: str = "img1", **artifacts: str) -> ImageRecord:
    return ImageRecord(image_id=image_id, status="attacked", label="nv", artifacts=artifacts)


def distances(first: float = 0.01) -> MapDistances:
    names = [field.name for field in fields(MapDistances)]
    return MapDistances(**{name: first + position / 100 for position, name in enumerate(names)})


def record(unit_id: str = "img1-cam-adv2", image_id: str = "img1", **changed: object) -> Record:
    first = Record(
        unit_id=unit_id,
        image_id=image_id,
        interpreter="cam",
        attack="adv2",
        source_class=0,
        target_class=1,
        status="judged",
        prediction=Prediction(index=1, confidence=0.97, probabilities=(0.02, 0.97, 0.01)),
        flipped=True,
        linf_levels=8,
        to_target=distances(0.01),
        original_class=distances(0.5),
        kept=True,
        joint=True,
        steps=50,
        stop="target reached",
    )
    return first.model_copy(update=changed)
