"""One stage of work on a stream of images: adversarial pictures, verdicts, records and artifacts.

Knows nothing of where results are kept or which engine asks for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from skinaudit.attacks.controls import half_pixel_shift, jpeg, random_flow, signed_noise
from skinaudit.attacks.joint import joint_objective
from skinaudit.attacks.judge import Shown, Verdict, compare
from skinaudit.attacks.loop import Loop
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.objectives import objective_for
from skinaudit.attacks.targets import reached
from skinaudit.attacks.tasks import MapGoal, Outcome, Task
from skinaudit.audit.change import Change, measure_change
from skinaudit.audit.entry import at_8_bits
from skinaudit.audit.picture_files import map_bytes, picture_bytes, pixels_of
from skinaudit.audit.plan import at_once, joint_steps, search_shape
from skinaudit.audit.records import Attack, Record
from skinaudit.audit.survey import derive
from skinaudit.audit.workbench import Subject, UnitResult, Workbench, chosen_target, prediction_of
from skinaudit.config import Norm, TargetMap
from skinaudit.interpreters.registry import family_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from skinaudit.audit.plan import Stage
    from skinaudit.config import ThreatModel


def run_stage(bench: Workbench, stage: Stage, subjects: Iterable[Subject]) -> Iterator[UnitResult]:
    """Results of a stage, each as soon as it is known; memory holds two batches whatever the number of images."""
    if stage.attack == "noise":
        for subject in subjects:
            yield _controls(bench, stage, subject)
        return
    waiting: list[tuple[Subject, Outcome]] = []
    open_subjects: dict[str, Subject] = {}
    for outcome in _outcomes(bench, stage, _tasks(bench, stage, subjects, open_subjects)):
        waiting.append((open_subjects.pop(outcome.key), outcome))
        if sum(len(found.candidates) for _, found in waiting) >= bench.config.batch_size:
            yield from _judged(bench, stage, waiting)
            waiting = []
    yield from _judged(bench, stage, waiting)


def _outcomes(bench: Workbench, stage: Stage, tasks: Iterable[Task]) -> Iterator[Outcome]:
    """What the search finds. Photographs differ in size, so that each has a loop of its own."""
    loop = _loop(bench, stage)
    if not bench.config.threat.full_resolution:
        yield from loop.run(tasks)
        return
    for task in tasks:
        yield from loop.run([task])


def _loop(bench: Workbench, stage: Stage) -> Loop:
    budget = bench.config.budget
    interpreter = bench.interpreters[stage.interpreter] if stage.interpreter else None
    family = family_of(stage.interpreter) if stage.interpreter else None
    several = [bench.interpreters[name] for name in at_once(bench.config)] if stage.attack == "joint" else []
    settings = LoopSettings.for_attack(
        "activation" if several else family,
        steps=joint_steps(bench.config) if several else budget.steps(family),
        # Nothing is to be warmed up where the diagnosis is the wanted one from the start.
        warm_steps=0 if bench.config.threat.keeps_diagnosis else budget.warm_steps,
        early_stop=budget.early_stop,
        flow_limit=bench.config.threat.flow_limit if bench.config.threat.norm is Norm.FLOW else None,
    )
    return Loop(
        joint_objective(bench.classifier, several)
        if several
        else objective_for(stage.attack, bench.classifier, interpreter),
        bench.entry.perturbation(),
        settings,
        search_shape(bench.config, stage.interpreter),
        bench.device,
    )


def _tasks(
    bench: Workbench, stage: Stage, subjects: Iterable[Subject], open_subjects: dict[str, Subject]
) -> Iterator[Task]:
    for subject in subjects:
        open_subjects[subject.image_id] = subject
        goals = tuple(_map_goal(bench, subject, name) for name in _matched(bench, stage))
        yield Task(subject.image_id, subject.shown, chosen_target(bench, subject), goals, subject.begin)


def _matched(bench: Workbench, stage: Stage) -> tuple[str, ...]:
    """The interpreters whose maps a stage matches: none for PGD."""
    if stage.attack == "joint":
        return at_once(bench.config)
    return () if stage.interpreter is None else (stage.interpreter,)


def _map_goal(bench: Workbench, subject: Subject, name: str) -> MapGoal:
    limit = bench.thresholds[name]
    return MapGoal(subject.wanted_map(name).saliency, limit.l1, limit.iou20, limit.l1 / 4)


def _judged(bench: Workbench, stage: Stage, waiting: Sequence[tuple[Subject, Outcome]]) -> Iterator[UnitResult]:
    """Verdicts on the candidates of several images; the best one of each becomes the record."""
    if not waiting:
        return
    chosen = _best_pictures(bench, stage, waiting)
    views: list[dict[str, Verdict]] = [{} for _ in waiting]
    for name in _matched(bench, stage) or tuple(bench.interpreters):
        asked = [place for place, (subject, _) in enumerate(waiting) if name in subject.clean.maps]
        questions = [waiting[place][0].question(chosen[place].pixels, name) for place in asked]
        known = [view for place in asked if (view := chosen[place].views.get(name)) is not None]
        for place, verdict in zip(asked, bench.judge.verdicts(questions, known or None), strict=True):
            views[place][name] = verdict
    changes = [picture.change(bench, subject) for (subject, _), picture in zip(waiting, chosen, strict=True)]
    others = _transfers(bench, stage, waiting, chosen, changes)
    for place, (subject, outcome) in enumerate(waiting):
        result = _attack_result(bench, stage, subject, outcome, chosen[place], views[place], changes[place])
        named = (*result.named, *({} for _ in others[place]))
        yield replace(result, records=(*result.records, *others[place]), named=named)


def _transfers(
    bench: Workbench,
    stage: Stage,
    waiting: Sequence[tuple[Subject, Outcome]],
    chosen: Sequence[_Picture],
    changes: Sequence[Change],
) -> list[list[Record]]:
    """What the other interpreters show of the pictures made for one; those of hundreds of passes are left out."""
    records: list[list[Record]] = [[] for _ in waiting]
    names = at_once(bench.config) if stage.attack == "adv2" else ()
    for name in (name for name in names if name != stage.interpreter):
        questions = [
            subject.question(picture.pixels, name) for (subject, _), picture in zip(waiting, chosen, strict=True)
        ]
        for place, view in enumerate(bench.judge.shown(questions)):
            subject = waiting[place][0]
            target = chosen_target(bench, subject)
            unit_id = stage.unit_id(subject.image_id)
            record = _record(bench, unit_id, subject, name, "transfer", view, target, changes[place])
            records[place].append(record.model_copy(update={"made_for": stage.interpreter}))
    return records


@dataclass(frozen=True)
class _Picture:
    """A candidate as it would be saved: what the model gets of it (3,h,w), and what interpreters that were asked show.

    ``extent`` is what the search tells of the size of the change beside the pixels.
    """

    pixels: Tensor
    data: bytes
    extent: tuple[float, ...]
    views: Mapping[str, Shown] = field(default_factory=dict)

    def change(self, bench: Workbench, subject: Subject) -> Change:
        """How far the saved picture is from the one it was made of."""
        return measure_change(subject.shown, pixels_of(bench.classifier, self.data), self.extent)


def _best_pictures(bench: Workbench, stage: Stage, waiting: Sequence[tuple[Subject, Outcome]]) -> list[_Picture]:
    """The best candidate of each image, by what the honest interpreters show of its saved picture."""
    pictures = [_pictures(bench, stage, outcome) for _, outcome in waiting]
    names = _matched(bench, stage)
    if not names:
        return [found[0] for found in pictures]
    answers: dict[str, Iterator[Shown]] = {}
    for name in names:
        questions = [
            subject.question(picture.pixels, name)
            for (subject, _), found in zip(waiting, pictures, strict=True)
            for picture in found
        ]
        answers[name] = iter(bench.judge.shown(questions))
    best = []
    for (subject, _), found in zip(waiting, pictures, strict=True):
        seen = [replace(one, views={name: next(views) for name, views in answers.items()}) for one in found]
        best.append(min(seen, key=partial(_order, bench, subject)))
    return best


def _order(bench: Workbench, subject: Subject, picture: _Picture) -> tuple[bool, bool, float]:
    """Rank of a candidate, lower is better: class reached, every map kept, mean L1 distance."""
    views, target = picture.views, chosen_target(bench, subject)
    missed = not all(_reached(bench, subject, view, target) for view in views.values())
    kept = [_keeps(bench, name, view) for name, view in views.items()]
    distance = sum(view.shown_distance.l1 for view in views.values()) / len(views)
    return missed, not all(kept), distance


def _reached(bench: Workbench, subject: Subject, view: Shown, target: int | None) -> bool:
    return reached(bench.config.threat.target, view.predicted, subject.clean.predicted, target)


def _keeps(bench: Workbench, name: str, view: Shown) -> bool:
    return bench.thresholds[name].keeps(view.shown_distance.l1, view.shown_distance.iou20)


def _pictures(bench: Workbench, stage: Stage, outcome: Outcome) -> list[_Picture]:
    """Candidates as the PNG that would be saved and the pixels read back from it. PGD hands over its best alone."""
    count = 1 if stage.attack == "pgd" else len(outcome.candidates)
    encoded = [picture_bytes(bench.classifier, pixels, adversarial=True) for pixels in outcome.candidates[:count]]
    return [
        _Picture(bench.entry.seen(pixels_of(bench.classifier, data)), data, tuple(extent.tolist()))
        for data, extent in zip(encoded, outcome.extents, strict=False)
    ]


def _attack_result(
    bench: Workbench,
    stage: Stage,
    subject: Subject,
    outcome: Outcome,
    picture: _Picture,
    views: Mapping[str, Verdict],
    change: Change,
) -> UnitResult:
    target = chosen_target(bench, subject)
    files, images = _image_files(bench, stage, picture)
    # A clinic that shows several maps is deceived only when every one of them is kept.
    everything = stage.attack != "joint" or all(_keeps(bench, name, view) for name, view in views.items())
    records, named = [], []
    for name, view in views.items():
        record = _record(bench, stage.unit_id(subject.image_id), subject, name, stage.attack, view, target, change)
        joint = bool(record.joint) and everything
        records.append(record.model_copy(update={"joint": joint, "steps": outcome.steps, "stop": outcome.stop}))
        prefix = stage.name if stage.interpreter else f"{stage.name}-{name}"
        files[f"{prefix}-map.npy"] = map_bytes(bench.classifier, view.shown)
        files[f"{prefix}-map-original.npy"] = map_bytes(bench.classifier, view.original)
        names = {
            **images,
            "map": f"{prefix}-map.npy",
            "map-original": f"{prefix}-map-original.npy",
        }
        if record.wanted_map != TargetMap.BENIGN:
            names["map-wanted"] = f"{prefix}-map-wanted.npy"
            files[names["map-wanted"]] = map_bytes(bench.classifier, subject.wanted_map(name).saliency)
        named.append(names)
    return UnitResult(stage.unit_id(subject.image_id), subject.image_id, tuple(records), files, tuple(named))


def _image_files(bench: Workbench, stage: Stage, picture: _Picture) -> tuple[dict[str, bytes], dict[str, str]]:
    """Files of a changed picture, and their names by kind: what the model gets, and the photograph where that is it."""
    image = f"{stage.name}.png"
    if not bench.config.threat.full_resolution:
        return {image: picture.data}, {"image": image}
    photograph = f"{stage.name}-photograph.png"
    seen = picture_bytes(bench.classifier, at_8_bits(picture.pixels), adversarial=True)
    return {image: seen, photograph: picture.data}, {"image": image, "photograph": photograph}


def _controls(bench: Workbench, stage: Stage, subject: Subject) -> UnitResult:
    """Noise as strong as the attack, JPEG 90 and a half-pixel shift, under every interpreter."""
    preprocess = bench.classifier.preprocess
    photograph = preprocess.to_display(subject.shown).permute(1, 2, 0).contiguous().numpy()
    changes: list[tuple[Attack, int, np.ndarray]] = [
        ("noise", draw, _aimless(bench.config.threat, photograph, derive(subject.seed, "noise", draw)))
        for draw in range(bench.config.budget.controls)
    ]
    changes += [("jpeg", 0, jpeg(photograph)), ("shift", 0, half_pixel_shift(photograph))]
    moved = [preprocess.from_display(torch.from_numpy(np.array(c)).permute(2, 0, 1)).contiguous() for *_, c in changes]
    seen = [bench.entry.seen(pixels) for pixels in moved]
    measured = [measure_change(subject.shown, pixels) for pixels in moved]
    records = []
    unit_id = stage.unit_id(subject.image_id)
    for name in subject.clean.maps:
        verdicts = bench.judge.verdicts([subject.question(pixels, name) for pixels in seen])
        for (attack, draw, _), view, change in zip(changes, verdicts, measured, strict=True):
            record = _record(bench, unit_id, subject, name, attack, view, None, change)
            records.append(record.model_copy(update={"draw": draw}))
    return UnitResult(unit_id, subject.image_id, tuple(records), {}, tuple({} for _ in records))


def _aimless(threat: ThreatModel, photograph: np.ndarray, seed: int) -> np.ndarray:
    """As much change as the attacker is allowed, without intent."""
    if threat.norm is Norm.FLOW:
        return random_flow(photograph, threat.flow_limit, seed)
    return signed_noise(photograph, threat.epsilon_levels, seed)


def _record(
    bench: Workbench,
    unit_id: str,
    subject: Subject,
    interpreter: str,
    attack: Attack,
    view: Shown,
    target: int | None,
    change: Change,
) -> Record:
    kept, wanted = _keeps(bench, interpreter, view), subject.wanted_map(interpreter)
    as_wanted = _reached(bench, subject, view, target)
    benign = None
    if wanted.kind is not TargetMap.BENIGN:
        (benign,) = compare(view.shown[None], subject.clean.maps[interpreter][None])
    return Record(
        unit_id=unit_id,
        image_id=subject.image_id,
        interpreter=interpreter,
        attack=attack,
        source_class=subject.clean.predicted,
        target_class=target,
        status="judged",
        prediction=prediction_of(view),
        # Where the diagnosis is to stay, what is wanted and a changed diagnosis are opposites.
        flipped=not as_wanted if bench.config.threat.keeps_diagnosis else as_wanted,
        linf_levels=change.linf_levels,
        image_ssim=change.image_ssim,
        displacement_max=change.displacement_max,
        displacement_mean=change.displacement_mean,
        to_target=view.shown_distance,
        original_class=view.original_distance if isinstance(view, Verdict) else None,
        to_benign=benign,
        wanted_map=wanted.kind,
        map_donor=wanted.donor,
        map_reason=wanted.reason,
        kept=kept,
        joint=as_wanted and kept,
        batch_size=bench.config.batch_size,
    )
