"""ADV² at several radii of one image, from the smallest on: each search goes on from what the smaller radius found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from skinaudit.audit.execute import run_stage
from skinaudit.audit.picture_files import pixels_of
from skinaudit.audit.plan import Stage
from skinaudit.audit.workbench import Subject, UnitResult, Workbench

if TYPE_CHECKING:
    from skinaudit.audit.records import Record


def run_sweep(bench: Workbench, stage: Stage, subjects: Iterable[Subject]) -> Iterator[UnitResult]:
    """One unit for each image, with a record for each radius of ``config.sweep``; keeps no pictures.

    Args:
        bench: the object under audit; its own radius is not part of the sweep, it has a stage of its own.
        stage: which interpreter.
        subjects: the images, taken a batch at a time.
    """
    single = Stage("adv2", stage.interpreter)
    stream = iter(subjects)
    while part := list(islice(stream, bench.config.batch_size)):
        records: dict[str, list[Record]] = {subject.image_id: [] for subject in part}
        for levels in sorted(bench.config.sweep):
            found = {result.image_id: result for result in run_stage(_within(bench, stage, levels), single, part)}
            for subject in part:
                (record,) = found[subject.image_id].records
                unit = {"unit_id": stage.unit_id(subject.image_id), "attack": "sweep", "epsilon_levels": levels}
                records[subject.image_id].append(record.model_copy(update=unit))
            part = [_from_here(bench, subject, found[subject.image_id]) for subject in part]
        for subject in part:
            mine = tuple(records[subject.image_id])
            yield UnitResult(stage.unit_id(subject.image_id), subject.image_id, mine, {}, tuple({} for _ in mine))


def _within(bench: Workbench, stage: Stage, levels: int) -> Workbench:
    """The same bench with another radius and one interpreter alone."""
    threat = bench.config.threat.model_copy(update={"epsilon": levels / 255})
    update = {"threat": threat, "interpreters": (str(stage.interpreter),), "joint": False}
    return replace(bench, config=bench.config.model_copy(update=update))


def _from_here(bench: Workbench, subject: Subject, result: UnitResult) -> Subject:
    (named,) = result.named
    picture = result.files[named.get("photograph", named["image"])]  # whatever the search changes
    return replace(subject, begin=pixels_of(bench.classifier, picture))
