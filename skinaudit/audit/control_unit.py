"""The harmless changes that every attack is held against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from skinaudit.attacks.controls import half_pixel_shift, jpeg, random_flow, signed_noise
from skinaudit.audit.change import Change, measure_change
from skinaudit.audit.records import Attack, Record
from skinaudit.audit.survey import derive
from skinaudit.audit.verdict_records import record_of
from skinaudit.audit.workbench import Subject, UnitResult, Workbench
from skinaudit.config import Norm

if TYPE_CHECKING:
    from torch import Tensor

    from skinaudit.audit.plan import Stage
    from skinaudit.config import ThreatModel


@dataclass(frozen=True)
class _Control:
    """A change without intent: what kind, which draw, what the model gets of it (3,h,w), how large it is."""

    attack: Attack
    draw: int
    pixels: Tensor
    change: Change


def control_units(bench: Workbench, stage: Stage, subjects: Sequence[Subject]) -> Iterator[UnitResult]:
    """Noise as strong as the attack, JPEG 90 and a half-pixel shift, of each image, under every interpreter.

    The images are judged together: three changes alone would leave most rows of a batch to padding.
    """
    controls = [_controls(bench, subject) for subject in subjects]
    records: list[list[Record]] = [[] for _ in subjects]
    for name in bench.interpreters:
        asked = [place for place, subject in enumerate(subjects) if name in subject.clean.maps]
        pairs = [(place, control) for place in asked for control in controls[place]]
        questions = [subjects[place].question(control.pixels, name) for place, control in pairs]
        for (place, control), view in zip(pairs, bench.judge.verdicts(questions), strict=True):
            subject = subjects[place]
            unit_id = stage.unit_id(subject.image_id)
            record = record_of(bench, unit_id, subject, name, control.attack, view, None, control.change)
            records[place].append(record.model_copy(update={"draw": control.draw}))
    for subject, mine in zip(subjects, records, strict=True):
        yield UnitResult(stage.unit_id(subject.image_id), subject.image_id, tuple(mine), {}, tuple({} for _ in mine))


def _controls(bench: Workbench, subject: Subject) -> list[_Control]:
    """The changes of one image."""
    preprocess = bench.classifier.preprocess
    photograph = preprocess.to_display(subject.shown).permute(1, 2, 0).contiguous().numpy()
    changes: list[tuple[Attack, int, np.ndarray]] = [
        ("noise", draw, _aimless(bench.config.threat, photograph, derive(subject.seed, "noise", draw)))
        for draw in range(bench.config.budget.controls)
    ]
    changes += [("jpeg", 0, jpeg(photograph)), ("shift", 0, half_pixel_shift(photograph))]
    found = []
    for attack, draw, changed in changes:
        pixels = preprocess.from_display(torch.from_numpy(np.array(changed)).permute(2, 0, 1)).contiguous()
        found.append(_Control(attack, draw, bench.entry.seen(pixels), measure_change(subject.shown, pixels)))
    return found


def _aimless(threat: ThreatModel, photograph: np.ndarray, seed: int) -> np.ndarray:
    """As much change as the attacker is allowed, without intent."""
    if threat.norm is Norm.FLOW:
        return random_flow(photograph, threat.flow_limit, seed)
    return signed_noise(photograph, threat.epsilon_levels, seed)
