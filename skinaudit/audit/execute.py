"""One stage of work on a stream of images: adversarial pictures, verdicts, records and artifacts.

Knows nothing of where results are kept or which engine asks for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from skinaudit.attacks.adv2 import objective_for
from skinaudit.attacks.controls import half_pixel_shift, jpeg, signed_noise
from skinaudit.attacks.joint import joint_objective
from skinaudit.attacks.judge import Clean, Judge, Question, Shown, Verdict
from skinaudit.attacks.loop import Loop, LoopSettings, MapGoal, Outcome, Task
from skinaudit.attacks.perturbation import LInf
from skinaudit.attacks.targets import target_class
from skinaudit.audit.picture_files import map_bytes, picture_bytes, pixels_of
from skinaudit.audit.plan import at_once, joint_steps, shapes
from skinaudit.audit.records import Attack, Prediction, Record
from skinaudit.audit.survey import derive
from skinaudit.interpreters.registry import family_of
from skinaudit.metrics.images import image_ssim, linf_levels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from skinaudit.audit.plan import Stage
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

    def in_batches_of(self, batch_size: int) -> Workbench:
        """The same bench in another batch shape."""
        config = self.config.model_copy(update={"batch_size": batch_size})
        return replace(self, config=config, judge=self.judge.in_batches_of(batch_size))


@dataclass(frozen=True)
class Subject:
    """One image under attack: what the model is shown (3,h,w) uint8, its seed, and how it looks unchanged."""

    image_id: str
    shown: Tensor
    seed: int
    clean: Clean


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


def run_stage(bench: Workbench, stage: Stage, subjects: Iterable[Subject]) -> Iterator[UnitResult]:
    """Results of a stage, each as soon as it is known; memory holds two batches whatever the number of images."""
    if stage.attack == "noise":
        for subject in subjects:
            yield _controls(bench, stage, subject)
        return
    waiting: list[tuple[Subject, Outcome]] = []
    open_subjects: dict[str, Subject] = {}
    for outcome in _loop(bench, stage).run(_tasks(bench, stage, subjects, open_subjects)):
        waiting.append((open_subjects.pop(outcome.key), outcome))
        if sum(len(found.candidates) for _, found in waiting) >= bench.config.batch_size:
            yield from _judged(bench, stage, waiting)
            waiting = []
    yield from _judged(bench, stage, waiting)


def _loop(bench: Workbench, stage: Stage) -> Loop:
    budget = bench.config.budget
    interpreter = bench.interpreters[stage.interpreter] if stage.interpreter else None
    family = family_of(stage.interpreter) if stage.interpreter else None
    several = [bench.interpreters[name] for name in at_once(bench.config)] if stage.attack == "joint" else []
    settings = LoopSettings.for_attack(
        "activation" if several else family,
        steps=joint_steps(bench.config) if several else budget.steps(family),
        warm_steps=budget.warm_steps,
        early_stop=budget.early_stop,
    )
    return Loop(
        joint_objective(bench.classifier, several)
        if several
        else objective_for(stage.attack, bench.classifier, interpreter),
        LInf(bench.config.threat.epsilon_levels),
        settings,
        shapes(bench.config).get(str(stage.interpreter), bench.config.batch_size),
        bench.device,
    )


def _tasks(
    bench: Workbench, stage: Stage, subjects: Iterable[Subject], open_subjects: dict[str, Subject]
) -> Iterator[Task]:
    for subject in subjects:
        open_subjects[subject.image_id] = subject
        goals = tuple(_map_goal(bench, subject, name) for name in _matched(bench, stage))
        yield Task(subject.image_id, subject.shown, chosen_target(bench, subject), goals)


def _matched(bench: Workbench, stage: Stage) -> tuple[str, ...]:
    """The interpreters whose maps a stage matches: none for PGD."""
    if stage.attack == "joint":
        return at_once(bench.config)
    return () if stage.interpreter is None else (stage.interpreter,)


def _map_goal(bench: Workbench, subject: Subject, name: str) -> MapGoal:
    limit = bench.thresholds[name]
    return MapGoal(subject.clean.maps[name], limit.l1, limit.iou20, limit.l1 / 4)


def _judged(bench: Workbench, stage: Stage, waiting: Sequence[tuple[Subject, Outcome]]) -> Iterator[UnitResult]:
    """Verdicts on the candidates of several images; the best one of each becomes the record."""
    if not waiting:
        return
    chosen = _best_pictures(bench, stage, waiting)
    views: list[dict[str, Verdict]] = [{} for _ in waiting]
    for name in _matched(bench, stage) or tuple(bench.interpreters):
        asked = [place for place, (subject, _) in enumerate(waiting) if name in subject.clean.maps]
        questions = [Question(chosen[place].pixels, waiting[place][0].clean, name) for place in asked]
        known = [view for place in asked if (view := chosen[place].views.get(name)) is not None]
        for place, verdict in zip(asked, bench.judge.verdicts(questions, known or None), strict=True):
            views[place][name] = verdict
    for (subject, outcome), picture, found in zip(waiting, chosen, views, strict=True):
        yield _attack_result(bench, stage, subject, outcome, picture.data, found)


@dataclass(frozen=True)
class _Picture:
    """A candidate as it would be saved, and what is shown of it by the interpreters that were asked already."""

    pixels: Tensor
    data: bytes
    views: Mapping[str, Shown] = field(default_factory=dict)


def _best_pictures(bench: Workbench, stage: Stage, waiting: Sequence[tuple[Subject, Outcome]]) -> list[_Picture]:
    """The best candidate of each image, by what the honest interpreters show of its saved picture."""
    pictures = [_pictures(bench, stage, outcome) for _, outcome in waiting]
    names = _matched(bench, stage)
    if not names:
        return [found[0] for found in pictures]
    answers: dict[str, Iterator[Shown]] = {}
    for name in names:
        questions = [
            Question(picture.pixels, subject.clean, name)
            for (subject, _), found in zip(waiting, pictures, strict=True)
            for picture in found
        ]
        answers[name] = iter(bench.judge.shown(questions))
    best = []
    for (subject, _), found in zip(waiting, pictures, strict=True):
        seen = [replace(one, views={name: next(views) for name, views in answers.items()}) for one in found]
        best.append(min(seen, key=partial(_order, bench, chosen_target(bench, subject))))
    return best


def _order(bench: Workbench, target: int, picture: _Picture) -> tuple[bool, bool, float]:
    """Rank of a candidate, lower is better: class reached, every map kept, mean L1 distance."""
    views = picture.views
    kept = [_keeps(bench, name, view) for name, view in views.items()]
    distance = sum(view.shown_distance.l1 for view in views.values()) / len(views)
    return any(view.predicted != target for view in views.values()), not all(kept), distance


def _keeps(bench: Workbench, name: str, view: Shown) -> bool:
    return bench.thresholds[name].keeps(view.shown_distance.l1, view.shown_distance.iou20)


def _pictures(bench: Workbench, stage: Stage, outcome: Outcome) -> list[_Picture]:
    """Candidates as the PNG that would be saved and the pixels read back from it. PGD hands over its best alone."""
    count = 1 if stage.attack == "pgd" else len(outcome.candidates)
    encoded = [picture_bytes(bench.classifier, pixels, adversarial=True) for pixels in outcome.candidates[:count]]
    return [_Picture(pixels_of(bench.classifier, data), data) for data in encoded]


def _attack_result(
    bench: Workbench,
    stage: Stage,
    subject: Subject,
    outcome: Outcome,
    picture: bytes,
    views: Mapping[str, Verdict],
) -> UnitResult:
    target = chosen_target(bench, subject)
    files = {f"{stage.name}.png": picture}
    # A clinic that shows several maps is deceived only when every one of them is kept.
    everything = stage.attack != "joint" or all(_keeps(bench, name, view) for name, view in views.items())
    records, named = [], []
    for name, view in views.items():
        record = _record(bench, stage.unit_id(subject.image_id), subject, name, stage.attack, view, target)
        joint = bool(record.joint) and everything
        records.append(record.model_copy(update={"joint": joint, "steps": outcome.steps, "stop": outcome.stop}))
        prefix = stage.name if stage.interpreter else f"{stage.name}-{name}"
        files[f"{prefix}-map.npy"] = map_bytes(bench.classifier, view.shown)
        files[f"{prefix}-map-original.npy"] = map_bytes(bench.classifier, view.original)
        named.append(
            {
                "image": f"{stage.name}.png",
                "map": f"{prefix}-map.npy",
                "map-original": f"{prefix}-map-original.npy",
            }
        )
    return UnitResult(stage.unit_id(subject.image_id), subject.image_id, tuple(records), files, tuple(named))


def _controls(bench: Workbench, stage: Stage, subject: Subject) -> UnitResult:
    """Noise as strong as the attack, JPEG 90 and a half-pixel shift, under every interpreter."""
    levels = bench.config.threat.epsilon_levels
    preprocess = bench.classifier.preprocess
    photograph = preprocess.to_display(subject.shown).permute(1, 2, 0).contiguous().numpy()
    changes: list[tuple[Attack, int, np.ndarray]] = [
        ("noise", draw, signed_noise(photograph, levels, derive(subject.seed, "noise", draw)))
        for draw in range(bench.config.budget.controls)
    ]
    changes += [("jpeg", 0, jpeg(photograph)), ("shift", 0, half_pixel_shift(photograph))]
    moved = [preprocess.from_display(torch.from_numpy(np.array(c)).permute(2, 0, 1)).contiguous() for *_, c in changes]
    records = []
    unit_id = stage.unit_id(subject.image_id)
    for name in subject.clean.maps:
        verdicts = bench.judge.verdicts([Question(pixels, subject.clean, name) for pixels in moved])
        for (attack, draw, _), view in zip(changes, verdicts, strict=True):
            record = _record(bench, unit_id, subject, name, attack, view, None)
            records.append(record.model_copy(update={"draw": draw}))
    return UnitResult(unit_id, subject.image_id, tuple(records), {}, tuple({} for _ in records))


def _record(
    bench: Workbench,
    unit_id: str,
    subject: Subject,
    interpreter: str,
    attack: Attack,
    view: Verdict,
    target: int | None,
) -> Record:
    before = subject.shown.permute(1, 2, 0).contiguous().numpy()
    after = view.pixels.permute(1, 2, 0).contiguous().numpy()
    kept = _keeps(bench, interpreter, view)
    flipped = view.predicted == target if target is not None else view.predicted != subject.clean.predicted
    return Record(
        unit_id=unit_id,
        image_id=subject.image_id,
        interpreter=interpreter,
        attack=attack,
        source_class=subject.clean.predicted,
        target_class=target,
        status="judged",
        prediction=prediction_of(view),
        flipped=flipped,
        linf_levels=linf_levels(before, after),
        image_ssim=image_ssim(before, after),
        to_target=view.shown_distance,
        original_class=view.original_distance,
        kept=kept,
        joint=flipped and kept,
        batch_size=bench.config.batch_size,
    )
