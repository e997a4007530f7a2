"""What every stage of an audit needs and gives: the bench, an image under attack, the result of a unit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import torch

from skinaudit.attacks.judge import Clean, Judge, Question
from skinaudit.attacks.target_maps import WantedMap
from skinaudit.attacks.targets import out_of_scope, target_class
from skinaudit.audit.entry import Entry
from skinaudit.audit.records import Prediction, Record
from skinaudit.audit.survey import derive
from skinaudit.config import TargetMap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from skinaudit.calibration.thresholds import DriftThreshold
    from skinaudit.classifier.classifier import Classifier
    from skinaudit.config import AuditConfig
    from skinaudit.interpreters.base import Interpreter


@dataclass(frozen=True)
class Workbench:
    """What every stage needs: the object under audit, its interpreters and limits, the settings."""

    classifier: Classifier
    interpreters: Mapping[str, Interpreter]
    thresholds: Mapping[str, DriftThreshold]
    judge: Judge
    config: AuditConfig
    device: torch.device

    @property
    def entry(self) -> Entry:
        """Where the change enters."""
        return Entry(self.classifier.preprocess, self.config.threat)

    def in_batches_of(self, batch_size: int) -> Workbench:
        """The same bench in another batch shape."""
        config = self.config.model_copy(update={"batch_size": batch_size})
        return replace(self, config=config, judge=self.judge.in_batches_of(batch_size))


@dataclass(frozen=True)
class Subject:
    """One image under attack: the picture that is changed, (3,h,w) uint8, its seed, and how it looks unchanged.

    The picture is what the model is shown, or the photograph itself where the change enters there.
    ``wanted`` holds the maps that are wanted of it, by interpreter; where one is missing it is the benign map.
    ``begin`` is a changed picture to search on from; None: the image itself.
    """

    image_id: str
    shown: Tensor
    seed: int
    clean: Clean
    wanted: Mapping[str, WantedMap] = field(default_factory=dict)
    begin: Tensor | None = None

    def wanted_map(self, name: str) -> WantedMap:
        """The map that is wanted of an interpreter."""
        return self.wanted.get(name) or WantedMap(TargetMap.BENIGN, self.clean.maps[name])

    def question(self, pixels: Tensor, name: str) -> Question:
        """Changed pixels, to be judged by an interpreter against the map that is wanted of it."""
        return Question(pixels, self.clean, name, self.wanted_map(name).saliency)


@dataclass(frozen=True)
class UnitResult:
    """Records of one finished unit and the files they name (kind → bytes), per record."""

    unit_id: str
    image_id: str
    records: tuple[Record, ...]
    files: dict[str, bytes] = field(default_factory=dict)  # file name -> bytes
    named: tuple[dict[str, str], ...] = ()  # per record: kind -> file name


class Predicted(Protocol):
    """Anything that says what the model thinks of an image."""

    @property
    def predicted(self) -> int:
        """Index of the class."""

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Softmax over the classes."""


def prediction_of(view: Predicted) -> Prediction:
    """Predicted class with all probabilities, as records carry it."""
    probabilities = view.probabilities
    return Prediction(index=view.predicted, confidence=probabilities[view.predicted], probabilities=probabilities)


def chosen_target(bench: Workbench, subject: Subject) -> int:
    """The class the attacker wants of an image: the same for every attack and interpreter of a run."""
    return target_class(
        bench.config.threat.target,
        subject.clean.logits.tolist(),
        subject.clean.predicted,
        bench.classifier.classes,
        bench.classifier.malignant,
        derive(subject.seed, "target"),
    )


def left_alone(config: AuditConfig, classifier: Classifier, clean: Predicted) -> str | None:
    """Why the target rule leaves an image alone; None where it does not."""
    name = classifier.classes[clean.predicted]
    return out_of_scope(config.threat.target, name, classifier.classes, classifier.malignant)
