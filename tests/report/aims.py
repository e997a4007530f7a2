"""Reports of runs in which the attacker wants another map, or the diagnosis to stay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from skinaudit.audit.records import Attack, ImageRecord, Record
from skinaudit.config import TargetMap, TargetRule, ThreatModel
from skinaudit.report.document import Report
from skinaudit.report.findings import summarise
from skinaudit.report.results import InterpreterResult
from tests.report.synthetic import SyntheticRun, distances, header, probabilities, verdict

PATCH = ThreatModel(target=TargetRule.RANDOM, target_map=TargetMap.PATCH)
SAME = ThreatModel(target=TargetRule.SAME, target_map=TargetMap.PATCH)


def summarised(records: Sequence[Record], threat: ThreatModel, *, labels: bool = True) -> Report:
    """The report on these records, all of CAM."""
    names = sorted({record.image_id for record in records})
    images = [
        ImageRecord(image_id=name, status="attacked", label="mel" if labels else None, prediction=probabilities(0, 0.9))
        for name in names
    ]
    head = header(("cam",), labels_given=labels, images_found=len(images))
    config = head.config.model_copy(update={"threat": threat})
    return summarise(SyntheticRun(Path(), head.model_copy(update={"config": config}), images, list(records)))


def moved(
    attack: Attack, count: int, threat: ThreatModel, *, flipped: bool = True, kept: bool = True, iou: float = 0.0
) -> list[Record]:
    """Records against another map than the benign one; ``iou`` is the overlap with the benign map's top 20 %."""
    return [
        verdict(f"i{number:03d}", attack, flipped=flipped, kept=kept).model_copy(
            update={
                "wanted_map": threat.target_map,
                "to_benign": distances(0.4, iou),
                "joint": kept and flipped is not threat.keeps_diagnosis,
            }
        )
        for number in range(count)
    ]


def words(result: InterpreterResult) -> str:
    """Every finding of an interpreter, with plain spaces."""
    return " ".join(result.findings).replace("\u00a0", " ")


def everything(report: Report) -> str:
    """Whatever sentences a report has on results, with plain spaces."""
    parts = [report.verdict, report.verdict_detail, *(one.question + one.text + one.note for one in report.answers)]
    for result in report.interpreters:
        parts += [*result.findings, result.rates_caption, result.distances_caption, result.cases_text]
        parts += [line for case in result.cases for line in (case.text, case.caption)]
    return " ".join(parts).replace("\u00a0", " ")
