"""From what the search found to what is saved: verdicts of the honest interpreters, the best candidate, its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from skinaudit.attacks.judge import Shown, Verdict
from skinaudit.audit.change import Change, measure_change
from skinaudit.audit.entry import at_8_bits
from skinaudit.audit.picture_files import map_bytes, picture_bytes, pixels_of
from skinaudit.audit.plan import at_once, matched
from skinaudit.audit.records import Record
from skinaudit.audit.verdict_records import as_wanted, keeps, record_of
from skinaudit.audit.workbench import Subject, UnitResult, Workbench, chosen_target
from skinaudit.config import HELD_CONFIDENCE, TargetMap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from skinaudit.attacks.tasks import Outcome
    from skinaudit.audit.plan import Stage


def judged(bench: Workbench, stage: Stage, waiting: Sequence[tuple[Subject, Outcome]]) -> Iterator[UnitResult]:
    """Verdicts on the candidates of several images; the best one of each becomes the record."""
    if not waiting:
        return
    chosen = _best_pictures(bench, stage, waiting)
    views: list[dict[str, Verdict]] = [{} for _ in waiting]
    for name in matched(bench.config, stage) or tuple(bench.interpreters):
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
    names = matched(bench.config, stage)
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


def _order(bench: Workbench, subject: Subject, picture: _Picture) -> tuple[bool, bool, bool, float]:
    """Rank of a candidate, lower is better: class reached, every map kept, as sure as asked, mean L1 distance."""
    views, target = picture.views, chosen_target(bench, subject)
    missed = not all(as_wanted(bench, subject, view, target) for view in views.values())
    kept = [keeps(bench, name, view) for name, view in views.items()]
    distance = sum(view.shown_distance.l1 for view in views.values()) / len(views)
    unsure = all(kept) and min(max(view.probabilities) for view in views.values()) < HELD_CONFIDENCE
    return missed, not all(kept), unsure, distance


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
    everything = stage.attack != "joint" or all(keeps(bench, name, view) for name, view in views.items())
    records, named = [], []
    for name, view in views.items():
        record = record_of(bench, stage.unit_id(subject.image_id), subject, name, stage.attack, view, target, change)
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
            record = record_of(bench, unit_id, subject, name, "transfer", view, target, changes[place])
            records[place].append(record.model_copy(update={"made_for": stage.interpreter}))
    return records
