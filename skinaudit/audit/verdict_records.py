"""What a verdict on a changed picture says, as a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skinaudit.attacks.judge import Shown, Verdict, compare
from skinaudit.attacks.targets import reached
from skinaudit.audit.records import Attack, Record
from skinaudit.audit.workbench import Subject, Workbench, prediction_of
from skinaudit.config import TargetMap

if TYPE_CHECKING:
    from skinaudit.audit.change import Change


def record_of(
    bench: Workbench,
    unit_id: str,
    subject: Subject,
    interpreter: str,
    attack: Attack,
    view: Shown,
    target: int | None,
    change: Change,
) -> Record:
    """The record of a changed picture that was judged under one interpreter; what the search did is not in it yet."""
    kept, wanted = keeps(bench, interpreter, view), subject.wanted_map(interpreter)
    done = as_wanted(bench, subject, view, target)
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
        flipped=not done if bench.config.threat.keeps_diagnosis else done,
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
        joint=done and kept,
        batch_size=bench.config.batch_size,
    )


def as_wanted(bench: Workbench, subject: Subject, view: Shown, target: int | None) -> bool:
    """Is the diagnosis the one that the attacker wants?"""
    return reached(bench.config.threat.target, view.predicted, subject.clean.predicted, target)


def keeps(bench: Workbench, name: str, view: Shown) -> bool:
    """Is the map as close to the wanted one as harmless changes leave it?"""
    return bench.thresholds[name].keeps(view.shown_distance.l1, view.shown_distance.iou20)
