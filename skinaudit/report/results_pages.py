"""Pages of one interpreter: its findings, its table, its charts, its pictures."""

from __future__ import annotations

from collections.abc import Sequence

from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Spacer

from skinaudit.report.figures import distances_chart, rates_chart
from skinaudit.report.picture_rows import picture_table
from skinaudit.report.pictures import Gallery
from skinaudit.report.results import Arm, InterpreterResult
from skinaudit.report.sections import bullets
from skinaudit.report.style import (
    BODY,
    CAPTION,
    CELL,
    HEAD,
    HEAD_RIGHT,
    LEAD,
    STRONG,
    WIDTH,
    figure_cell,
    paragraph,
    subheading,
    table,
)
from skinaudit.report.wording import average_cell, rate_cell

TABLE_NOTE = (
    "Figures in small print are 95 % intervals. L1: mean distance of a map to {reference}, 0 to 1. Overlap: IoU of "
    "the 20 % of pixels that matter most. Confidence: in the class now shown."
)


def results(result: InterpreterResult, titles: Sequence[str], gallery: Gallery) -> list[Flowable]:
    """Everything the report says about one interpreter."""
    story: list[Flowable] = [paragraph(result.description, LEAD), Spacer(0, 6), bullets(result.findings)]
    if not result.arms:
        return story
    key = result.interpreter
    story += [
        Spacer(0, 4),
        results_table(result.arms, (result.kept_title, result.joint_title)),
        paragraph(TABLE_NOTE.format(reference=result.reference) + _joint_note(result), CAPTION),
        KeepTogether(
            [
                subheading("How often", f"rates-{key}"),
                Spacer(0, 2),
                rates_chart(result, WIDTH),
                paragraph(result.rates_caption, CAPTION),
            ]
        ),
        KeepTogether(
            [
                subheading("How far maps move", f"distances-{key}"),
                Spacer(0, 2),
                distances_chart(result, WIDTH),
                paragraph(result.distances_caption, CAPTION),
            ]
        ),
    ]
    if result.cases:
        story += [CondPageBreak(330), subheading(f"Pictures: {result.title}", f"pictures-{key}")]
        story += [paragraph(result.cases_text, BODY), Spacer(0, 8), picture_table(result, titles, gallery)]
    else:
        story += [CondPageBreak(60), paragraph(result.cases_text, BODY)]
    return story


def _joint_note(result: InterpreterResult) -> str:
    joint = result.arm("joint")
    if joint is None:
        return ""
    return f" {joint.title}: “{result.joint_title}” asks for every map of that attack, not for this one alone."


def results_table(arms: Sequence[Arm], titles: tuple[str, str] = ("Map kept", "Both at once")) -> Flowable:
    """One row an attack or control, figures right-aligned with their intervals below."""
    head = ("", "Images", "Diagnosis changed", *titles, "Map L1", "Map overlap", "Confidence")
    rows: list[list[Flowable]] = [[paragraph(name, HEAD_RIGHT if place else HEAD) for place, name in enumerate(head)]]
    rows.extend(
        [
            paragraph(arm.title, STRONG if arm.attack in ("adv2", "pgd") else CELL),
            figure_cell(str(arm.n), f"{arm.failed} failed" if arm.failed else ""),
            *(figure_cell(*rate_cell(rate)) for rate in (arm.flipped, arm.kept, arm.joint)),
            figure_cell(*average_cell(arm.l1)),
            figure_cell(*average_cell(arm.iou20, 2)),
            figure_cell(*average_cell(arm.confidence, 2)),
        ]
        for arm in arms
    )
    rest = (WIDTH - 92 - 44) / 6
    return table(rows, (92, 44, *(rest,) * 6))
