"""The harmless changes that every attack is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from skinaudit.attacks.controls import half_pixel_shift, jpeg, random_flow, signed_noise
from skinaudit.audit.change import measure_change
from skinaudit.audit.records import Attack
from skinaudit.audit.survey import derive
from skinaudit.audit.verdict_records import record_of
from skinaudit.audit.workbench import Subject, UnitResult, Workbench
from skinaudit.config import Norm

if TYPE_CHECKING:
    from skinaudit.audit.plan import Stage
    from skinaudit.config import ThreatModel


def control_unit(bench: Workbench, stage: Stage, subject: Subject) -> UnitResult:
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
            record = record_of(bench, unit_id, subject, name, attack, view, None, change)
            records.append(record.model_copy(update={"draw": draw}))
    return UnitResult(unit_id, subject.image_id, tuple(records), {}, tuple({} for _ in records))


def _aimless(threat: ThreatModel, photograph: np.ndarray, seed: int) -> np.ndarray:
    """As much change as the attacker is allowed, without intent."""
    if threat.norm is Norm.FLOW:
        return random_flow(photograph, threat.flow_limit, seed)
    return signed_noise(photograph, threat.epsilon_levels, seed)
