"""The section that says whether the model can be audited at all."""

from __future__ import annotations

from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import Flowable, Spacer

from skinaudit.report import palette
from skinaudit.report.document import CheckRow, Report
from skinaudit.report.style import (
    BODY,
    CELL,
    HEAD,
    LABEL,
    LEAD,
    SMALL,
    WIDTH,
    box,
    paragraph,
    table,
)

TITLE = "Is this model auditable"
_ALARM = ParagraphStyle("alarm", parent=LABEL, textColor=palette.AMBER)
_ALARM_TEXT = ParagraphStyle("alarm text", parent=SMALL, textColor=palette.INK)


def alarm_box(report: Report) -> list[Flowable]:
    """What the first pages say when a check raised an alarm; nothing otherwise."""
    alarm = report.auditable.alarm
    return [] if alarm is None else [box("The model itself raises an alarm", alarm)]


def auditable(report: Report) -> list[Flowable]:
    """Every check with what was seen, what it means for the figures, and what follows."""
    found = report.auditable
    story: list[Flowable] = [paragraph(found.headline, LEAD)]
    story += [paragraph(sentence, BODY) for sentence in found.findings]
    if not found.rows:
        return story
    heads = ("Check", "What was seen", "What it means for the figures", "What the tool did, and what to do")
    cells: list[list[Flowable]] = [[paragraph(head, HEAD) for head in heads]]
    cells += [_row(row) for row in found.rows if row.level == "alarm"]
    cells += [_row(row) for row in found.rows if row.level != "alarm"]
    story += [Spacer(0, 8), table(cells, (84, 152, 130, WIDTH - 366))]
    return story


def _row(row: CheckRow) -> list[Flowable]:
    label, words = (_ALARM, _ALARM_TEXT) if row.level == "alarm" else (LABEL, SMALL)
    name = [paragraph(row.title, CELL, 60), paragraph(row.result.upper(), label)]
    return [name, paragraph(row.evidence, words, 700), paragraph(row.meaning, words), paragraph(row.consequence, words)]
